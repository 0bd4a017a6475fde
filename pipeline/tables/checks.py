"""What makes a table right: its columns, their types, and the values that may stand in them."""

import math
import numbers
import reprlib
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy
import pyarrow
import pyarrow.compute

from pipeline.errors import alternatives, nearest
from pipeline.tables.schemas import ARRAY, ARRAY_FORMATS, COLUMNS, IMAGE, MASKS, SCHEMAS, Column
from pipeline.tables.storage import TableError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

Rows = pyarrow.Table | Sequence[Mapping[str, Any]]
Flaws = tuple[numpy.ndarray, str]  # which rows break a rule (bool, one per row), and what the rule is


def conform(rows: Rows, name: str, where: str) -> pyarrow.Table:
    """Return `rows` with exactly the columns and types of table `name`, for a file that messages call `where`.

    Columns that may lack a value in these rows may be left out. Arrow columns of wider integers, or of the large and
    view types that other libraries write, are brought to the table's own types; nothing else is converted.
    """
    schema, columns = SCHEMAS[name], COLUMNS[name]
    in_arrow = isinstance(rows, pyarrow.Table)
    given = rows.column_names if in_arrow else list(dict.fromkeys(key for row in rows for key in row))
    for column in given:
        if column not in schema.names:
            close = nearest(column, schema.names)
            hint = f"did you mean {close!r}?" if close else f"it has {', '.join(schema.names)}"
            raise TableError(f"{where}: the table {name} has no column {column!r}; {hint}")
    count = len(rows)
    for column in columns:
        if column.null == "never" and column.name not in given and count:
            raise TableError(f"{where}: column {column.name!r} of the table {name} is missing; add it to every row")
    arrays = []
    for column in columns:
        if column.name not in given:
            arrays.append(pyarrow.nulls(count, column.type))
        elif in_arrow:
            arrays.append(_cast(rows.column(column.name), column, where))
        else:
            arrays.append(to_array([row.get(column.name) for row in rows], column.name, column.type, where))
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def to_array(values: Sequence[Any], name: str, type: pyarrow.DataType, where: str) -> pyarrow.Array:
    """Return Python values as one Arrow column; raises TableError naming the first row that does not fit."""
    if not _fractions(values, type):
        try:
            return pyarrow.array(values, type=type)
        except (ValueError, TypeError, NotImplementedError, OverflowError):
            pass
    row = next(row for row, value in enumerate(values) if not _fits(value, type))
    raise TableError(f"{where}, column {name!r}, row {row}: must be {type}, but is {reprlib.repr(values[row])}")


def check_columns(schema: pyarrow.Schema, name: str, where: str) -> None:
    """Compare the columns of a file with those of table `name`, given the types that the file should have."""
    found, expected = schema.names, SCHEMAS[name].names
    for column in expected:
        if column not in found:
            raise TableError(
                f"{where}: column {column!r} of the table {name} is missing; delete the file and run again"
            )
    for column in found:
        if column not in expected:
            raise TableError(f"{where}: the table {name} has no column {column!r}; delete the file and run again")


def check_rows(
    table: pyarrow.Table, name: str, where: str, first_row: int = 0, seen: MutableMapping[str, str] | None = None
) -> None:
    """Check the values of the given columns of table `name`; `row_id`, `status` and `reason` must be among them.

    first_row: the number of the first row in its file. seen: row_id -> the file it stands in, of all rows so far;
    the rows of this table are added. Raises TableError for the first broken rule.
    """
    columns = [column for column in COLUMNS[name] if column.name in table.column_names]
    for batch in table.to_batches():
        okay = numpy.array([status == "ok" for status in batch.column("status").to_pylist()], dtype=bool)
        for column in columns:
            for broken, rule in _rules(column, batch, name, okay):
                if broken.any():
                    _refuse(where, column.name, first_row, int(broken.argmax()), batch, rule)
        _check_unique(batch, where, first_row, {} if seen is None else seen)
        first_row += len(batch)


def _check_unique(batch: pyarrow.RecordBatch, where: str, first_row: int, seen: MutableMapping[str, str]) -> None:
    for row, row_id in enumerate(batch.column("row_id").to_pylist()):
        if row_id in seen:
            _refuse(where, "row_id", first_row, row, batch, f"must be unique, but stands in {seen[row_id]} already")
        seen[row_id] = where


def _refuse(where: str, column: str, first_row: int, row: int, batch: pyarrow.RecordBatch, rule: str) -> None:
    row_id = batch.column("row_id")[row].as_py()
    value = batch.column(column)[row].as_py()
    raise TableError(
        f"{where}, column {column!r}, row {first_row + row} (row_id {row_id!r}): {rule}; it is {reprlib.repr(value)}"
    )


def _rules(column: Column, batch: pyarrow.RecordBatch, name: str, okay: numpy.ndarray) -> Iterator[Flaws]:
    """The rows that break each rule of a column."""
    array = batch.column(column.name)
    missing = _mask(array.is_null())
    if column.null == "never":
        yield missing, "must have a value"
    if column.null == "failed":
        yield missing & okay, "must have a value unless the row failed"
    if column.choices:
        known = pyarrow.compute.is_in(array, value_set=pyarrow.array(column.choices))
        yield ~_mask(known) & ~missing, f"must be {alternatives(column.choices)}"
    if column.name == "reason":
        empty = missing | (_mask(pyarrow.compute.equal(array, "")))
        yield empty & ~okay, "must say why the row failed or is unscored"
        yield ~missing & okay, "must be empty in a row that is ok"
    if column.type == ARRAY and "shape" in batch.schema.names:
        size = numpy.dtype(ARRAY_FORMATS[name, column.name]).itemsize
        yield _wrong_length(array, batch.column("shape"), size), f"must hold {size} bytes for each number of its shape"
    broken, rule = flaws(array)
    yield broken & okay, rule


def flaws(array: pyarrow.Array) -> Flaws:
    """Return which values of a column no table may hold in a row that is ok, and why: by their type alone."""
    if array.type == IMAGE:
        return _not_png(array.field("bytes")) & _mask(array.is_valid()), "must hold the bytes of a PNG"
    if array.type == MASKS:
        return _any_element(array, lambda parts: _not_png(parts.field("mask"))), "must hold masks as bytes of PNG"
    return _not_a_number(array), "must not hold NaN or missing numbers"


def _not_a_number(array: pyarrow.Array) -> numpy.ndarray:
    type = array.type
    if pyarrow.types.is_floating(type):
        return _mask(pyarrow.compute.is_nan(array))
    if pyarrow.types.is_list(type) and pyarrow.types.is_floating(type.value_type):
        return _any_element(array, lambda numbers: _mask(pyarrow.compute.is_nan(numbers)) | _mask(numbers.is_null()))
    if pyarrow.types.is_map(type) and pyarrow.types.is_floating(type.item_type):
        listed = array.cast(pyarrow.list_(pyarrow.struct([type.key_field, type.item_field])))
        return _any_element(listed, lambda items: _mask(pyarrow.compute.is_nan(items.field(type.item_field.name))))
    return numpy.zeros(len(array), dtype=bool)


def _any_element(lists: pyarrow.Array, broken: Callable[[pyarrow.Array], numpy.ndarray]) -> numpy.ndarray:
    """Which lists have an element that is broken."""
    rows = numpy.zeros(len(lists), dtype=bool)
    parents = pyarrow.compute.list_parent_indices(lists).to_numpy(zero_copy_only=False)
    rows[parents[broken(pyarrow.compute.list_flatten(lists))]] = True
    return rows


def _not_png(blobs: pyarrow.Array) -> numpy.ndarray:
    return ~_mask(pyarrow.compute.equal(pyarrow.compute.binary_slice(blobs, 0, 8), pyarrow.scalar(PNG_SIGNATURE)))


def _wrong_length(blobs: pyarrow.Array, shapes: pyarrow.Array, size: int) -> numpy.ndarray:
    expected = [None if shape is None else size * math.prod(shape) for shape in shapes.to_pylist()]
    return _mask(
        pyarrow.compute.not_equal(pyarrow.compute.binary_length(blobs), pyarrow.array(expected, pyarrow.int32()))
    )


def _mask(array: pyarrow.Array) -> numpy.ndarray:
    """A Boolean column as numpy; missing values count as false."""
    return array.fill_null(False).to_numpy(zero_copy_only=False)


def _cast(column: pyarrow.ChunkedArray, expected: Column, where: str) -> pyarrow.ChunkedArray:
    if column.type == expected.type:
        return column
    if _alike(column.type, expected.type):
        try:
            return column.cast(expected.type)
        except pyarrow.ArrowInvalid:
            pass
    values = column.to_pylist()
    row = next((row for row, value in enumerate(values) if value is not None), 0)
    found = f"{column.type}, as in row {row}: {reprlib.repr(values[row])}" if values else str(column.type)
    raise TableError(f"{where}, column {expected.name!r}: must be {expected.type}, but is {found}")


def _alike(found: pyarrow.DataType, expected: pyarrow.DataType) -> bool:
    """Whether two types keep the same values in different widths."""
    types = pyarrow.types
    texts = (types.is_string, types.is_large_string, types.is_string_view)
    blobs = (types.is_binary, types.is_large_binary, types.is_binary_view)
    if types.is_null(found):
        return True
    if any(kind(expected) for kind in texts) or any(kind(expected) for kind in blobs):
        kinds = texts if types.is_string(expected) else blobs
        return any(kind(found) for kind in kinds)
    if types.is_list(expected):
        return (types.is_list(found) or types.is_large_list(found)) and _alike(found.value_type, expected.value_type)
    return found == expected or (types.is_integer(found) and types.is_integer(expected))


def _fractions(values: Sequence[Any], type: pyarrow.DataType) -> bool:
    """Whether there is something else than whole numbers where Arrow would silently cut them to whole numbers."""
    if pyarrow.types.is_integer(type):
        return any(value is not None and not _is_whole(value) for value in values)
    if pyarrow.types.is_map(type) and pyarrow.types.is_integer(type.item_type):
        return any(_fractions(list(value.values()), type.item_type) for value in values if isinstance(value, Mapping))
    return False


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _fits(value: Any, type: pyarrow.DataType) -> bool:
    if _fractions([value], type):
        return False
    try:
        pyarrow.array([value], type=type)
    except (ValueError, TypeError, NotImplementedError, OverflowError):
        return False
    return True
