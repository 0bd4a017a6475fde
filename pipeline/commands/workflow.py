"""Calling Snakemake as a person would, from the folder that holds the Snakefile."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn


def command(study: str, profile: str, arguments: Sequence[str] = ()) -> list[str]:
    """The command that runs a study under a profile of `envs/`; arguments go to Snakemake, targets first."""
    return [
        sys.executable, "-m", "snakemake", *arguments, "--profile", f"envs/{profile}", "--config", f"study={study}"
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """The environment of a run: jobs find the interpreter of this process as `python`."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}


def snakemake(study: str, profile: str, arguments: Sequence[str] = (), **options) -> subprocess.CompletedProcess:
    """Run Snakemake to its end; options go to `subprocess.run`."""
    return subprocess.run(command(study, profile, arguments), env=environment(), check=False, **options)


def become_snakemake(study: str, profile: str, arguments: Sequence[str] = ()) -> NoReturn:
    """Replace this process by Snakemake's; it keeps what is locked."""
    sys.stdout.flush()
    sys.stderr.flush()
    program = command(study, profile, arguments)
    os.execve(program[0], program, environment())
