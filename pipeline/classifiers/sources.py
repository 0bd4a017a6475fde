"""Where an entry's weights or source lie on disk, and what they are (sha256). Needs no torch."""

import hashlib
import mmap
import re
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

from pipeline.classifiers.entry import FORMATS_WITH, Network
from pipeline.classifiers.script import files_of
from pipeline.digests import file_digest
from pipeline.errors import UserError

ONNX_LOCATION = re.compile(rb"\x0a\x08location\x12(?:([\x00-\x7f])|([\x80-\xff])([\x00-\x7f]))", re.DOTALL)
"""How ONNX names a file of external weights: key, then the length of the name as a varint of one or two bytes."""


def existing_file(name: str, path: str | Path) -> Path:
    """`path`, if a file is there; relative paths count from the working directory."""
    path = Path(path).expanduser()
    if not path.is_file():
        found = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise UserError(
            f"classifier '{name}': {path} {found}; correct the path (relative paths count from the working directory),"
            " or download or train the network first."
        )
    return path


def source_file(entry: Network) -> Path | None:
    """The file that decides what the network is; None for pretrained weights of the hub and for fresh ones."""
    if entry.format in FORMATS_WITH["checkpoint"]:
        return None if entry.checkpoint is None else existing_file(entry.name, entry.checkpoint)
    if entry.format == "entry_point":
        return entry_point_file(entry.name, entry.source)
    return existing_file(entry.name, entry.source)


def split_entry_point(name: str, entry_point: str) -> tuple[str, str]:
    """("module" or "path/to/file.py", "function") of "module:function" or "path/to/file.py:function"."""
    where, _, function = entry_point.rpartition(":")
    if not where or not function.isidentifier():
        raise UserError(
            f"classifier '{name}': entry_point is '{entry_point}', expected module:function or path/to/file.py:"
            "function, such as mine:load."
        )
    return where, function


def entry_point_file(name: str, entry_point: str) -> Path:
    """The source file of an entry point, found without running it or its packages."""
    where, _ = split_entry_point(name, entry_point)
    if where.endswith(".py"):
        return existing_file(name, where)
    make_importable(Path.cwd())
    package, *inner = where.split(".")
    # A spec of the topmost name is found without importing anything; deeper ones would import their parents.
    spec = find_spec(package)
    candidates = []
    if spec is not None and not inner:
        candidates.append(Path(spec.origin or ""))
    elif spec is not None:
        for folder in spec.submodule_search_locations or ():
            candidates += [Path(folder, *inner).with_suffix(".py"), Path(folder, *inner, "__init__.py")]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise UserError(
        f"classifier '{name}': there is no module '{where}' to import for entry_point {entry_point}; put its file into"
        " the working directory, or give its path, such as models/mine.py:load."
    )


def make_importable(folder: Path) -> None:
    """Let modules in `folder` be imported, after all others."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
        invalidate_caches()


def content_digest(entry: Network, path: Path) -> str:
    """sha256 of what a source file amounts to: the file, and what an ONNX file or an entry point needs besides."""
    digest = file_digest(path)
    beside = external_weights(path) if entry.format == "onnx" else []
    if entry.format == "entry_point":
        beside = [*files_of(path)[1:], *map(Path, entry.watch or [])]
    if not beside:
        return digest
    every = [digest, *(file_digest(existing_file(entry.name, each)) for each in beside)]
    return hashlib.sha256("\n".join(every).encode()).hexdigest()


def external_weights(path: Path) -> list[Path]:
    """The files beside an ONNX file that hold its weights (exporters put large ones there), by name."""
    if path.stat().st_size == 0:
        return []
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        names = set()
        for found in ONNX_LOCATION.finditer(content):
            short, low, high = found.groups()
            length = short[0] if short else (low[0] & 0x7F) | (high[0] << 7)
            names.add(content[found.end() : found.end() + length])
    return [path.parent / name.decode() for name in sorted(names)]
