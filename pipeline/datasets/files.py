"""The files of a folder: found, identified by their bytes, listed in a manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"})


def list_files(folder: Path, without: Iterable[Path] = ()) -> list[str]:
    """Relative paths (with "/") of all files in a folder, sorted; hidden ones and the folders `without` are left out.

    Links are followed, but never back into a folder that holds them.
    """
    left_out = {os.path.realpath(path) for path in without}
    found = []
    above = {str(folder): (os.path.realpath(folder),)}
    for root, directories, names in os.walk(folder, followlinks=True, onerror=_raise):
        entered = []
        for name in directories:
            real = os.path.realpath(os.path.join(root, name))
            if not name.startswith(".") and real not in left_out and real not in above[root]:
                above[os.path.join(root, name)] = (*above[root], real)
                entered.append(name)
        directories[:] = entered
        found += [Path(root, name).relative_to(folder).as_posix() for name in names if not name.startswith(".")]
    return sorted(found)


def is_image(path: str) -> bool:
    """Whether the ending of a file's name is that of an image."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def file_digest(path: Path) -> str:
    """sha256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest(*paths: Path) -> str:
    """JSON that changes when a file in these folders (or one of these files) is added, removed, renamed or edited.

    A list of {"path", "size", "sha256"} sorted by path; the paths of a folder's files start with the folder as given.
    """
    files = {file.as_posix(): file for path in paths for file in _files(path)}
    entries = [
        {"path": name, "size": files[name].stat().st_size, "sha256": file_digest(files[name])} for name in sorted(files)
    ]
    return json.dumps(entries, indent=0) + "\n"


def _files(path: Path) -> list[Path]:
    return [path / name for name in list_files(path)] if path.is_dir() else [path] if path.exists() else []


def _raise(error: OSError) -> None:
    raise error
