"""sha256 of files, each read once for each state that it is in."""

import hashlib
from functools import lru_cache
from pathlib import Path

from pipeline.errors import UserError


def file_digest(path: Path) -> str:
    """sha256 of a file, read in pieces, once for each state of the file."""
    status = path.stat()
    return digest_of_state(path.resolve(), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def digest_of_state(path: Path, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_digest(owner: str, path: Path, expected: str | None) -> None:
    """Compare the sha256 that is expected, if one is, with the file's own. Raises UserError if they differ.

    owner: whose file it is, as messages begin: "classifier 'mine'".
    """
    found = file_digest(path) if expected else None
    if found != expected:
        raise UserError(
            f"{owner}: {path} has sha256 {found}, expected {expected}; get the file again, or"
            " correct `sha256` if the new file is meant."
        )
