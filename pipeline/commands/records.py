"""What Snakemake remembers of outputs, in files of its folder: a record of each that it made, a mark on each begun.

A file without a record was made under options and code that Snakemake does not know; it would be taken for good as
long as it is newer than its inputs. With the mark of an unfinished file, it is made anew.
"""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path

SNAKEMAKE = Path(".snakemake")
NO_OUTPUTS = {"costs", "logs", "figures"}  # folders of a study in which no file is the output of a rule


def without_record(results: Path, snakemake: Path = SNAKEMAKE) -> list[str]:
    """Paths of the studies' files that Snakemake has no record of; of those in NO_OUTPUTS it never has one."""
    records = _folder(snakemake, "metadata")
    return [file for file in _outputs(results / "studies") if not note_path(records, file).exists()]


def make_anew(files: Iterable[str], snakemake: Path = SNAKEMAKE) -> None:
    """Mark files as unfinished, so that Snakemake makes them anew when a target needs them."""
    marks = _folder(snakemake, "incomplete")
    for file in files:
        path = note_path(marks, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"external_jobid": null}', encoding="utf-8")


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


def _outputs(studies: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(studies):
        folders[:] = sorted(set(folders) - NO_OUTPUTS)
        yield from (os.path.join(folder, name) for name in sorted(names) if not name.startswith("."))
