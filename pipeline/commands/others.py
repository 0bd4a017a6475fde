"""The files of others that a study needs: where each comes from, and whether it lies where it has to.

A study in studies/<name>.yaml may have a table beside it, studies/<name>.files.csv, with the columns of File. What a
file is, is told by its sha256, as far as its publisher tells one: all 64 digits, or the first ones.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

from pipeline.digests import file_digest
from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.study import study_path

DIGESTS = Path("resources", "digests.json")
"""Digests that were computed before, by path, with the size and time of the file: gigabytes are read once."""
THERE, UNKNOWN, MISSING, ANOTHER = "there", "there, digest unknown", "missing", "another file"


@dataclass(frozen=True)
class File:
    """A row of the table."""

    path: str
    """Where it has to lie, a file or a folder, from the working directory."""
    what: str
    about_bytes: int
    sha256: str
    """64 digits, the first 8 or more of them, or empty where none is published."""
    sha256_from: str
    """Who says so."""
    licence: str
    source: str
    """The page that describes it."""
    url: str
    """The file itself; empty where a person must register or unpack something."""
    instruction: str
    """What to do in that case."""


@dataclass(frozen=True)
class Found:
    """How it stands with a file: one of the four states, and its sha256 where it is there."""

    file: File
    state: str
    sha256: str | None = None


def files_of(study: str) -> list[File]:
    """The rows of the study's table; none where it has no table. Raises UserError for a table that is not one."""
    table = study_path(study).with_suffix(".files.csv")
    if not table.is_file():
        return []
    wanted = [field.name for field in fields(File)]
    with table.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        if reader.fieldnames != wanted:
            raise UserError(f"{table} must have the columns {', '.join(wanted)} in this order; correct its first line.")
        rows = list(reader)
    for line, row in enumerate(rows, start=2):
        if not re.fullmatch(r"[0-9a-f]{8,64}|", row["sha256"]) or not row["about_bytes"].isdigit():
            raise UserError(
                f"{table}, line {line}: sha256 is 8 to 64 hexadecimal digits in lower case, or empty, and about_bytes a"
                " whole number; correct them."
            )
        if not row["url"] and not row["instruction"]:
            raise UserError(f"{table}, line {line}: give the file's url, or an instruction how to get it.")
    return [File(**{**row, "about_bytes": int(row["about_bytes"])}) for row in rows]


def find(file: File) -> Found:
    """Look whether a file is there, and the one that is meant; a folder is not looked into."""
    path = Path(file.path)
    if path.is_dir():
        return Found(file, THERE)
    if not path.is_file():
        return Found(file, MISSING)
    digest = remembered_digest(path)
    if not file.sha256:
        return Found(file, UNKNOWN, digest)
    return Found(file, THERE if digest.startswith(file.sha256) else ANOTHER, digest)


def remembered_digest(path: Path) -> str:
    """sha256 of a file; read again only when its size or time has changed."""
    status = path.stat()
    state = [status.st_size, status.st_mtime_ns]
    known = read_digests()
    if known.get(str(path), [])[:2] != state:
        known[str(path)] = [*state, file_digest(path)]
        with appearing(DIGESTS) as hidden:
            hidden.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return known[str(path)][2]


def read_digests() -> dict[str, list]:
    try:
        return json.loads(DIGESTS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
