"""Stages in processes of their own, which can be killed at a moment to the point.

`python -m tests.workflow.killed <folder> <moment> <most bytes of a file> <arguments>`, with `-` for what is not asked.
"""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.commands.holder import JOBS
from tests.workflow.preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]

Moment = str | None
"""started: when the stage has just begun. rows: once a batch has reached the row store, before anything else appears.
table: before the last file that the stage is asked for appears (a rule names its outputs at the end). None: never."""


def run_stage(
    preloaded: Preloaded, folder: Path, arguments: Sequence[str], moment: Moment = None, file_bytes: int | None = None
) -> tuple[int, str]:
    """Run `python -m pipeline ...` in a folder, kill it at a moment, and return its exit status and what it said.

    file_bytes: no file may grow larger. The status of a stage that was killed is KILLED.
    """
    asked = [str(folder), moment or "-", str(file_bytes or "-"), *arguments]
    process = subprocess.run(
        [preloaded.python, "-m", "tests.workflow.killed", *asked],
        cwd=ROOT,
        env=preloaded.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return process.returncode, process.stdout


def stage(folder: str, moment: str, file_bytes: str, *arguments: str) -> int:
    """Run a stage in this process, as `run_stage` asks for it."""
    os.chdir(folder)
    if file_bytes != "-":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(file_bytes),) * 2)
    if moment != "-":
        die_at(moment, arguments)
    sys.argv = ["pipeline", *arguments]
    from pipeline.__main__ import main
    from tests.small_batches import batch_small

    batch_small(pytest.MonkeyPatch(), arguments[0])

    return main()


def die_at(moment: str, arguments: Sequence[str]) -> None:
    """Kill this process when it opens its first file (started), or when a file is about to get its name."""

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "started":
        sys.addaudithook(lambda event, values: die() if event == "open" and JOBS in str(values[0]) else None)
        return
    replace, stored = os.replace, []

    def replace_or_die(source, destination):
        if (moment == "rows" and stored) or (moment == "table" and str(destination) == arguments[-1]):
            die()
        replace(source, destination)
        if "rows" in Path(destination).parts and str(destination).endswith(".parquet"):
            stored.append(destination)

    os.replace = replace_or_die


if __name__ == "__main__":
    sys.exit(stage(*sys.argv[1:]))
