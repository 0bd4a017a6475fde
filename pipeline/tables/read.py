"""Read tables: the parts of a table as one, checked, and only the columns and rows that are asked for."""

import contextlib
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow
import pyarrow.parquet

from pipeline.errors import nearest
from pipeline.fingerprint import digest
from pipeline.tables.checks import check_columns, check_rows
from pipeline.tables.schemas import SCHEMAS, stored_type
from pipeline.tables.storage import TableError, from_stored, opened
from pipeline.tables.write import DIGEST_KEY, provenance_of

if TYPE_CHECKING:
    import polars

Paths = str | Path | Iterable[str | Path]
ALWAYS_CHECKED = ("row_id", "status", "reason")


def read_table(
    paths: Paths, name: str, columns: Sequence[str] | None = None, row_ids: Sequence[str] | None = None
) -> pyarrow.Table:
    """Return the rows of table `name` from all its parts, checked, in the order of the parts.

    paths: one file or several. columns: which ones to read, in this order; by default all. row_ids: which rows to
    return, in this order; only the row groups that hold them are read. Raises TableError where the parts break the
    table's contract (in the columns read), or lack one of `row_ids`.
    """
    wanted = list(columns) if columns is not None else SCHEMAS[name].names
    if row_ids is None:
        batches = list(iterate_table(paths, name, wanted))
        return pyarrow.concat_tables(batches) if batches else _subschema(name, wanted).empty_table()

    places = dict.fromkeys(row_ids)
    found: list[pyarrow.Table] = []
    count = 0
    for batch in iterate_table(paths, name, [*wanted, *({"row_id"} - set(wanted))], only=set(places)):
        held = batch.column("row_id").to_pylist()
        rows = [row for row, row_id in enumerate(held) if row_id in places]
        places.update({held[row]: count + position for position, row in enumerate(rows)})
        found.append(batch.take(rows))
        count += len(rows)
    for row_id, place in places.items():
        if place is None:
            raise TableError(f"{', '.join(map(str, _listed(paths)))}: no row of the table {name} has row_id {row_id!r}")
    if not found:
        return _subschema(name, wanted).empty_table()
    return pyarrow.concat_tables(found).take([places[row_id] for row_id in row_ids]).select(wanted)


def iterate_table(
    paths: Paths, name: str, columns: Sequence[str] | None = None, only: set[str] | None = None
) -> Iterator[pyarrow.Table]:
    """Read the parts of a table one row group (at most 256 rows or 32 MiB) at a time, checked as in `read_table`.

    Columns that are not asked for are never read, so that a table of images can be looked through at the cost of
    its numbers. only: skip row groups that hold none of these row_ids.
    """
    wanted = list(columns) if columns is not None else SCHEMAS[name].names
    for column in wanted:
        if column not in SCHEMAS[name].names:
            raise ValueError(
                f"the table {name} has no column {column!r}; did you mean {nearest(column, SCHEMAS[name].names)!r}?"
            )
    needed = _subschema(name, [*wanted, *(column for column in ALWAYS_CHECKED if column not in wanted)])
    seen: dict[str, str] = {}
    for path in _listed(paths):
        yield from _iterate_part(path, name, wanted, needed, only, seen)


def _iterate_part(
    path: Path, name: str, wanted: list[str], needed: pyarrow.Schema, only: set[str] | None, seen: dict[str, str]
) -> Iterator[pyarrow.Table]:
    first_row = 0
    with _opened(path, name) as file:
        for group in range(file.num_row_groups):
            if only is None or not only.isdisjoint(
                file.read_row_group(group, columns=["row_id"])["row_id"].to_pylist()
            ):
                # Parquet returns columns in the order of the file.
                stored = file.read_row_group(group, columns=needed.names).select(needed.names)
                table = from_stored(stored, needed)
                check_rows(table, name, str(path), first_row, seen)
                yield table.select(wanted)
            first_row += file.metadata.row_group(group).num_rows


def scan_table(paths: Paths, name: str) -> "polars.LazyFrame":
    """Return the parts of a table as one lazy polars frame, for analysis; maps are lists of (key, value) there.

    Only the columns of the parts are checked, not their values.
    """
    import polars

    parts = _listed(paths)
    for path in parts:
        with _opened(path, name):
            pass
    return polars.scan_parquet(parts)


def read_provenance(path: str | Path) -> dict[str, Any]:
    """Return what the rows of a part follow from, as it was given to `write_table`."""
    with opened(Path(path)) as file:
        note = provenance_of(file.schema_arrow)
    if note is None:
        raise TableError(f"{path} is a Parquet file, but none that this pipeline wrote")
    return note[1]


def digest_of(paths: Paths) -> str:
    """Return one sha256 (hex) of all that the parts of a table hold and follow from, without reading their rows.

    It differs where a row does, and where any part differs that one of these was made from.
    """
    return digest([_digest_in(path, path.stat().st_mtime_ns) for path in map(_existing, _listed(paths))])


def _existing(path: Path) -> Path:
    if not path.exists():
        raise TableError(f"{path}: there is no such file; run the stage that writes it")
    return path


@functools.lru_cache(maxsize=2**16)
def _digest_in(path: Path, modified: int) -> str:
    with opened(path) as file:
        found = (file.metadata.metadata or {}).get(DIGEST_KEY)
    if found is None:
        raise TableError(f"{path} does not carry the digest of its rows; delete it and run again")
    return found.decode()


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a part of table `name` whose columns have been checked."""
    if not path.exists():
        raise TableError(f"{path}: there is no such file; run the stage that writes the table {name}")
    with opened(path) as file:
        _check_file(file.schema_arrow, name, path)
        yield file


def _check_file(schema: pyarrow.Schema, name: str, path: Path) -> None:
    note = provenance_of(schema)
    if note is not None and note[0] != name:
        raise TableError(f"{path} holds the table {note[0]}, where the table {name} is expected")
    check_columns(schema, name, str(path))
    for field in SCHEMAS[name]:
        found, expected = schema.field(field.name).type, stored_type(field.type)
        if found != expected:
            raise TableError(f"{path}, column {field.name!r}: must be {expected}, but is {found} in every row")


def _listed(paths: Paths) -> list[Path]:
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def _subschema(name: str, columns: Sequence[str]) -> pyarrow.Schema:
    schema = SCHEMAS[name]
    return pyarrow.schema([schema.field(column) for column in columns], metadata=schema.metadata)
