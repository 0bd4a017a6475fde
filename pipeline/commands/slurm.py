"""Jobs on a SLURM cluster that a killed run left behind: found by their working directory, and cancelled."""

import os
import re
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from pipeline.errors import UserError

SECONDS_TO_END = 120.0
SECONDS_BETWEEN = 1.0
# Snakemake names all jobs of a run by one random UUID, with a prefix where the profile sets one, and tells the rule
# in the comment.
NAME = re.compile(r"(?:[\w-]{1,50}_)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
COMMENT = re.compile(r"(?:rule|group)_.+")


def listing_command() -> list[str]:
    """The command that lists a person's pending and running jobs, in the form that `orphaned_jobs` reads."""
    return ["squeue", "--me", "--noheader", "--format=%A|%j|%k|%Z"]


def cancelling_command(jobs: Sequence[str]) -> list[str]:
    """The command that cancels jobs by their ids."""
    return ["scancel", *jobs]


def orphaned_jobs(listing: str, folder: Path) -> list[str]:
    """The ids of Snakemake's jobs that work in `folder`, from what `listing_command` prints."""
    here = os.path.realpath(folder)
    found: list[str] = []
    for line in listing.splitlines():
        job, name, rest = [*line.strip().split("|", 2), "", ""][:3]
        comment, _, workdir = rest.partition("|")
        if NAME.fullmatch(name) and COMMENT.fullmatch(comment) and os.path.realpath(workdir) == here:
            found.append(job)
    return list(dict.fromkeys(found))


def cancel_orphans(folder: Path) -> list[str]:
    """Cancel the jobs that an earlier run left in `folder`, and return their ids once none is listed any more.

    Only for who holds the folder: nobody else has jobs there. Raises UserError where SLURM does not answer, or where
    the jobs do not end.
    """
    jobs = waiting = orphaned_jobs(_answer(listing_command()), folder)
    if jobs:
        _answer(cancelling_command(jobs))
    deadline = time.monotonic() + SECONDS_TO_END
    while waiting:
        if time.monotonic() > deadline:
            raise UserError(
                f"the SLURM jobs {', '.join(waiting)} of an earlier run were cancelled but do not end; look at them"
                f" with `squeue --me`, and run again once they are gone"
            )
        time.sleep(SECONDS_BETWEEN)
        waiting = orphaned_jobs(_answer(listing_command()), folder)
    return jobs


def _answer(command: Sequence[str]) -> str:
    """What a command of SLURM prints."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        raise UserError(
            f"there is no command {command[0]} here, which this or the last run needs; run on a machine of the cluster,"
            f" or with PROFILE=laptop once no job of this folder is left there"
        ) from None
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = " ".join((error.stderr or "no answer within a minute").split())
        raise UserError(
            f"{command[0]} failed ({said}), so that jobs of an earlier run cannot be found; run again when the"
            f" cluster answers"
        ) from None
