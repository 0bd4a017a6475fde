"""Labels, boxes and captions in a CSV, TSV or Parquet file, one row per image."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.hints import meant
from pipeline.datasets.source import Box
from pipeline.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
BOX_COLUMNS = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Columns:
    """A label file. values: column -> one value per row (None: empty). rows: what a message calls each row."""

    path: Path
    values: dict[str, list]
    rows: list[str]

    def column(self, name: str, option: str) -> list:
        """The values of a column; UserError, naming the option that asked for it, when there is none of that name."""
        if name not in self.values:
            raise UserError(
                f'{self.path} has no column "{name}"{meant(name, self.values)}; '
                f"set dataset.{option} to one of {', '.join(self.values)}."
            )
        return self.values[name]


def read_columns(path: Path) -> Columns:
    """Read a label file; UserError when it is missing, of another kind, or no valid table."""
    if not path.is_file():
        raise UserError(f"the label file {path} does not exist; give the path of a .csv, .tsv or .parquet file.")
    if path.suffix.lower() == ".parquet":
        columns = _read_parquet(path)
    elif path.suffix.lower() in DELIMITERS:
        columns = _read_text(path, DELIMITERS[path.suffix.lower()])
    else:
        raise UserError(f'{path} is no label file: its name must end in .csv, .tsv or .parquet, not "{path.suffix}".')
    if not columns.rows:
        raise UserError(f"{path} has no rows; give it one row per image.")
    return columns


def index_labels(
    words: Sequence[str | None], names: Sequence[str], where: str, rows: Sequence[str]
) -> list[int | None]:
    """The place of each word among the class names, None for None; UserError for a word that is no class.

    rows: what a message calls the place of each word.
    """
    index = {name: position for position, name in enumerate(names)}
    if len(index) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise UserError(f'dataset.classes names "{twice}" twice for {where}; name every class once.')
    for word, row in zip(words, rows, strict=True):
        if word is not None and word not in index:
            raise UserError(
                f'{where} has the label "{word}" in {row}, which is no class{meant(word, names)}; '
                f"correct it, or add it to dataset.classes: [{', '.join(names)}]."
            )
    return [None if word is None else index[word] for word in words]


def encode_labels(
    values: Sequence, classes: Sequence | None, where: str, rows: Sequence[str]
) -> tuple[list[int | None], tuple[str, ...]]:
    """Class index per value of a column (None where it is empty) and the class names.

    Without `classes` they are the different values in order: whole numbers by size, words by alphabet. With `classes`
    a value is the name of one of them, or else, in a column of whole numbers, its index. UserError for any other value.
    """
    words = _words(values, where, rows)
    present = {word for word in words if word is not None}
    numbers = bool(present) and all(_is_whole(word) for word in present)
    if not classes:
        names = tuple(sorted(present, key=int) if numbers else sorted(present))
        return index_labels(words, names, where, rows), names
    names = tuple(str(name) for name in classes)
    if numbers and present.isdisjoint(names):
        codes = [None if word is None else int(word) for word in words]
        valid = (None, *range(len(names)))
        unknown = [None if code in valid else word for word, code in zip(words, codes, strict=True)]
        index_labels(unknown, names, where, rows)
        return codes, names
    return index_labels(words, names, where, rows), names


def read_boxes(columns: Columns, names: Sequence[str]) -> dict[str, list[Box]]:
    """The boxes of each image, from the columns x0, y0, x1, y1 and, where there is one, box_label.

    names: the image of each row. A row with four empty cells has no box. UserError for a cell that is no number, a box
    of no extent, and boxes that are shares of the image instead of pixels.
    """
    sides = [columns.column(name, "boxes (with columns x0, y0, x1, y1)") for name in BOX_COLUMNS]
    labels = columns.values.get("box_label") or ["object"] * len(names)
    boxes: dict[str, list[Box]] = {}
    for name, row, label, *cells in zip(names, columns.rows, labels, *sides, strict=True):
        if all(cell in (None, "") for cell in cells):
            continue
        x0, y0, x1, y1 = (_coordinate(cell, f"{columns.path}, {row}") for cell in cells)
        if x1 <= x0 or y1 <= y0:
            raise UserError(
                f"{columns.path}, {row}: the box {x0:g}, {y0:g}, {x1:g}, {y1:g} is empty; x1 must be larger than x0, "
                "and y1 than y0."
            )
        boxes.setdefault(name, []).append((x0, y0, x1, y1, "object" if label is None else str(label)))
    found = [box for image in boxes.values() for box in image]
    if found and all(max(box[:4]) <= 1 for box in found):
        raise UserError(f"the boxes of {columns.path} are shares of the image, from 0 to 1; give them in pixels.")
    return boxes


def task_columns(columns: Mapping[str, str] | Sequence[str]) -> dict[str, str]:
    """Which column holds the labels of each task: a mapping says so, in a list every column is a task of its name."""
    return dict(columns) if isinstance(columns, Mapping) else {column: column for column in columns}


def task_classes(classes: Mapping | Sequence | None, tasks: Iterable[str]) -> dict[str, Sequence | None]:
    """The class names of each task, None where they come from the labels; `classes` is a list if there is one task."""
    tasks = list(tasks)
    if not classes:
        return dict.fromkeys(tasks)
    if isinstance(classes, Mapping):
        for task in classes:
            if task not in tasks:
                raise UserError(
                    f'dataset.classes names a task "{task}", but the tasks are {", ".join(tasks) or "none"}.'
                )
        return {task: classes.get(task) for task in tasks}
    if len(tasks) != 1:
        raise UserError(
            f"dataset.classes is one list, but there are the tasks {', '.join(tasks) or 'none'}; "
            "write one list per task, for example dataset.classes: {smile: [serious, smiling]}."
        )
    return {tasks[0]: classes}


def _read_text(path: Path, delimiter: str) -> Columns:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            header = next(reader, [])
            records = [(f"line {reader.line_num}", record) for record in reader if record]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is no valid {path.suffix[1:]} file in UTF-8 ({error}); save it again as such."
        ) from None
    for name in header:
        if header.count(name) > 1:
            raise UserError(f'{path} has two columns named "{name}"; rename one of them.')
    for row, record in records:
        if len(record) != len(header):
            raise UserError(
                f"{path}, {row}, has {len(record)} cells, but there are {len(header)} columns; put cells that hold "
                f'"{delimiter}" in double quotes.'.replace("\t", "a tab")
            )
    values = {name: [record[index] or None for _, record in records] for index, name in enumerate(header)}
    return Columns(path, values, [row for row, _ in records])


def _read_parquet(path: Path) -> Columns:
    import pyarrow
    import pyarrow.parquet
    from pyarrow.types import is_binary, is_large_binary, is_nested

    try:
        schema = pyarrow.parquet.read_schema(path)
        # A table that also holds the pixels is not read whole for its labels.
        names = [f.name for f in schema if not (is_nested(f.type) or is_binary(f.type) or is_large_binary(f.type))]
        table = pyarrow.parquet.read_table(path, columns=names)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{path} is no valid Parquet file ({str(error).splitlines()[0]}); write it again.") from None
    values = {name: table.column(name).to_pylist() for name in table.column_names}
    return Columns(path, values, [f"row {index + 1}" for index in range(table.num_rows)])


def _words(values: Sequence, where: str, rows: Sequence[str]) -> list[str | None]:
    """The labels of a column as text."""
    words = [_word(value, where, row) for value, row in zip(values, rows, strict=True)]
    if all(word is None or re.fullmatch(r"-?[0-9]+(\.0+)?", word) for word in words):
        # A table program that met an empty cell has written whole numbers as 1.0.
        return [None if word is None else word.split(".")[0] for word in words]
    return words


def _word(value: object, where: str, row: str) -> str | None:
    if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, int | float | str) or (isinstance(value, float) and not value.is_integer()):
        raise UserError(
            f"{where} has the label {value!r:.60} in {row}; a label is a word or a whole number, such as 1."
        )
    return str(value)


def _is_whole(word: str) -> bool:
    return re.fullmatch(r"0|-?[1-9][0-9]*", word) is not None


def _coordinate(cell: object, where: str) -> float:
    try:
        number = float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        shown = "" if cell is None else cell
        raise UserError(
            f'{where}: "{shown}" is no coordinate of a box; write four numbers of pixels or leave all empty.'
        )
    return number
