"""One run at a time holds a results folder, and whatever an earlier one left running can be waited for.

Two advisory locks in the folder, which the kernel frees when a process ends, however it ends: the run holds HELD, which
also says who that is, and every job shares JOBS. So a job whose run was killed still tells the next run that it is
there.
"""

import fcntl
import json
import os
import socket
import sys
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UserError

RESULTS = Path("results")
HELD, JOBS = ".held", ".jobs"
RUN = "COUNTERFACTORY_RUN"
"""The environment variable by which a job knows the run that started it."""


@dataclass(frozen=True)
class Holder:
    """Who holds a folder: the run's own mark, its process and machine, what it runs and by what, since when (UTC)."""

    run: str
    host: str
    process: int
    study: str
    executor: str
    since: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}, which runs the study {self.study} since {self.since} UTC"


def hold(folder: Path, study: str, executor: str = "") -> Holder | None:
    """Hold a results folder until this process ends, under any program that it becomes; jobs inherit its mark.

    executor: what its jobs run by, such as local or slurm. Returns who held the folder last. Raises UserError where
    another process holds it, where nothing can be written, and where the file system has no locks.
    """
    known = read_holder(folder)
    if known is not None and (known.run, known.process) == (os.environ.get(RUN), os.getpid()):
        return known
    descriptor = _open(folder / HELD)
    if not _lock(descriptor, folder, fcntl.LOCK_EX):
        time.sleep(0.1)  # a holder writes who it is right after it has the lock; who only looked is gone by then
    if not _lock(descriptor, folder, fcntl.LOCK_EX):
        os.close(descriptor)
        raise UserError(f"{folder}/ is held by {read_holder(folder)}; wait until it ends, or stop it and run again")
    last = read_holder(folder)
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    holder = Holder(uuid.uuid4().hex, socket.gethostname(), os.getpid(), study, executor, now)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(asdict(holder)) + "\n").encode(), 0)
    os.fsync(descriptor)  # jobs on other machines read it
    os.set_inheritable(descriptor, True)
    os.environ[RUN] = holder.run
    return last


def is_held(folder: Path) -> bool:
    """Whether some process holds the folder."""
    if not (folder / HELD).exists():
        return False
    descriptor = _open(folder / HELD)
    try:
        return not _lock(descriptor, folder, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def await_jobs(folder: Path) -> None:
    """Wait for the jobs that an earlier run left; says so once, where there are some. Only for who holds the folder."""
    descriptor = _open(folder / JOBS)
    try:
        if not _lock(descriptor, folder, fcntl.LOCK_EX):
            print(
                f"{folder}/: jobs of an earlier run are still at work here; waiting for them to end"
                " (what they finish is kept)",
                file=sys.stderr,
                flush=True,
            )
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def join(folder: Path) -> None:
    """Let the next run wait for this process, a job, until it ends.

    Raises UserError where the run that started the job has lost the folder to another: what it was asked to write may
    no longer be what is wanted. A job that a person starts by hand belongs to no run; without any run, nothing is held.
    """
    path = folder / JOBS
    if not path.exists():
        return
    descriptor = os.open(path, os.O_RDONLY)  # stays open, and so locked, as long as the process lives
    while not _lock(descriptor, folder, fcntl.LOCK_SH):  # the next run looks whether there are jobs
        time.sleep(0.01)
    run, holder = os.environ.get(RUN), read_holder(folder)
    if run is not None and holder is not None and holder.run != run:
        raise UserError(f"{folder}/ is now held by {holder}; this job of an earlier run ends and writes nothing")


def read_holder(folder: Path) -> Holder | None:
    """Who holds the folder, or held it last; None where that is not known."""
    try:
        return Holder(**json.loads((folder / HELD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _open(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(
            f"nothing can be written to {path.parent}/ ({error.strerror}); make it a folder that you may write to, or"
            f" run in another one, such as a fresh clone"
        ) from None


def _lock(descriptor: int, folder: Path, kind: int) -> bool:
    """Take a lock without waiting; False where another process has it."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"the file system of {folder}/ offers no locks ({error.strerror}), so that two runs could not be kept"
            f" apart; make {folder} a link to a folder that has them, such as one on a local disk"
        ) from None
    return True
