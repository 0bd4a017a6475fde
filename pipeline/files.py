"""Files that appear whole or not at all."""

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pipeline.errors import UserError

ABANDONED_AFTER = 24 * 3600.0  # seconds; no job writes one batch or table for longer


@contextlib.contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """Write a file beside `path` and give it that name once it is complete and on disk.

    Yields the hidden name to write to. If the block raises, or the process is killed, nothing appears at `path`, and
    what stood there before stays. Several processes may write the same path: the last one to finish wins.
    Raises UserError where no file can be made.
    """
    path = Path(path)
    hidden = path.parent / f".{path.name}.{uuid.uuid4().hex}.tmp"
    with _writable(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden.touch()
    try:
        _sweep(path.parent)
        yield hidden
        with _writable(path):
            publish(hidden, path)
    finally:
        hidden.unlink(missing_ok=True)


def publish(hidden: Path, path: Path) -> None:
    """Rename a finished file to its visible name; both it and the name survive a power cut from then on."""
    _sync(hidden, os.O_RDONLY)
    os.replace(hidden, path)
    _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    """Say in one sentence that `path` cannot be written where the block fails on the file system."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}: {error.filename}); make its folder one in which files can be"
            " made, or run in another folder."
        ) from error


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    """Remove what killed writers left behind."""
    for leftover in folder.glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime > ABANDONED_AFTER:
                leftover.unlink()
