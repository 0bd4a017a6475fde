"""Stages in processes of their own, which can be killed at a moment to the point; torch is imported once for all."""

import os
import resource
import signal
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path

from pipeline.commands.holder import JOBS
from pipeline.workflow import stages
from tests.workflow.preloaded import LIBRARIES

CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.workflow.killed",
        *LIBRARIES,
        *(f"pipeline.stages.{stage}" for stage, declared in stages().items() if not declared.trains),
        "pipeline.classifiers.load",
        "pipeline.diffusion.load",
        "pipeline.explain.dvce",
        "pipeline.explain.fido",
    ]
)

Moment = str | None
"""started: when the stage has just begun. rows: once a batch has reached the row store, before anything else appears.
table: before the last file that the stage is asked for appears (a rule names its outputs at the end). None: never."""


def run_stage(
    folder: Path, arguments: Sequence[str], moment: Moment = None, file_bytes: int | None = None
) -> tuple[int, str]:
    """Run `python -m pipeline ...` in a folder, kill it at a moment, and return its exit status and what it said.

    file_bytes: no file may grow larger.
    """
    said = folder / "said.txt"
    process = CONTEXT.Process(target=stage, args=(str(folder), list(arguments), moment, file_bytes, str(said)))
    process.start()
    process.join(120)
    return process.exitcode, said.read_text(encoding="utf-8") if said.exists() else ""


def stage(folder: str, arguments: list[str], moment: Moment, file_bytes: int | None, said: str) -> None:
    os.chdir(folder)
    os.environ.update(COUNTERFACTORY_DEVICE="cpu")
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    if moment is not None:
        die_at(moment, arguments)
    sys.argv = ["pipeline", *arguments]
    from pipeline.__main__ import main

    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(status)


def die_at(moment: Moment, arguments: list[str]) -> None:
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
