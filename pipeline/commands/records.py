"""What Snakemake remembers of outputs, in files of its folder: a record of each that it made, a mark on each begun.

With the mark of an unfinished file, an output is made anew that Snakemake would take for good.
"""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

SNAKEMAKE = Path(".snakemake")
MARK = '{"external_jobid": null}'
PASSING_MARK = '{"external_jobid": null, "until": "the next run"}'


def make_anew(files: Iterable[str], mark: str = MARK, snakemake: Path = SNAKEMAKE) -> None:
    """Mark files as unfinished, so that Snakemake makes them anew when a target needs them."""
    marks = _folder(snakemake, "incomplete")
    for file in files:
        path = note_path(marks, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(mark, encoding="utf-8")


def make_these_anew(files: Iterable[str], snakemake: Path = SNAKEMAKE) -> None:
    """Mark these files in the place of those of an earlier call; marks of others stay."""
    marks = _folder(snakemake, "incomplete")
    for path in marks.rglob("*"):
        if path.is_file() and path.read_text(encoding="utf-8") == PASSING_MARK:
            path.unlink()
    make_anew((file for file in files if not note_path(marks, file).exists()), PASSING_MARK, snakemake)


def note_path(folder: Path, file: str) -> Path:
    """Where Snakemake keeps its note on a file: under the base64 of its path, cut where names would be too long."""
    name = urlsafe_b64encode(file.encode()).decode()
    length = os.pathconf(folder, "PC_NAME_MAX") - 1
    pieces = [name[start : start + length] for start in range(0, len(name), length)]
    return folder.joinpath(*(f"@{piece}" for piece in pieces[:-1]), pieces[-1])


def _folder(snakemake: Path, name: str) -> Path:
    # Snakemake takes a folder that has records but no marks for one of an old version, and converts it.
    for each in ("incomplete", "metadata"):
        (snakemake / each).mkdir(parents=True, exist_ok=True)
    return snakemake / name
