"""How tables lie in Parquet files: which columns are packed how, row groups, and damage."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow
import pyarrow.parquet

from pipeline.errors import UserError
from pipeline.tables.schemas import ARRAY, IMAGE, MASKS, stored_schema, stored_type

ROW_GROUP_ROWS = 256
ROW_GROUP_BYTES = 32 * 2**20


class TableError(UserError):
    """A table that breaks its contract; the sentence names file, column and row."""


class DamagedFile(TableError):
    """A file that is no complete Parquet file (cut short, or changed on disk)."""


def create(place: Path | BinaryIO, schema: pyarrow.Schema) -> pyarrow.parquet.ParquetWriter:
    """Open a Parquet file for rows of `schema`: PNG as it is, everything else zstd, a checksum on every page."""
    schema = stored_schema(schema)
    leaves = {leaf: kind for field in schema for leaf, kind in _leaves(field.name, field.type)}
    pixels = {f"{field.name}.bytes" for field in schema if field.type == IMAGE}
    pixels |= {f"{field.name}.list.element.mask" for field in schema if field.type == MASKS}
    plain = pixels | {leaf for leaf, kind in leaves.items() if kind == ARRAY}
    return pyarrow.parquet.ParquetWriter(
        place,
        schema,
        compression={leaf: "none" if leaf in pixels else "zstd" for leaf in leaves},
        use_dictionary=[leaf for leaf, kind in leaves.items() if kind == pyarrow.string()],
        write_statistics=[leaf for leaf in leaves if leaf not in plain],
        write_page_checksum=True,
    )


def write_row_groups(writer: pyarrow.parquet.ParquetWriter, table: pyarrow.Table) -> None:
    """Write up to ROW_GROUP_ROWS rows as one row group, or as several of at most ROW_GROUP_BYTES."""
    if len(table) > 1 and table.nbytes > ROW_GROUP_BYTES:
        half = len(table) // 2
        write_row_groups(writer, table.slice(0, half))
        write_row_groups(writer, table.slice(half))
    elif len(table):
        columns = [_stored(column, column.type) for column in table.combine_chunks().columns]
        writer.write_table(pyarrow.Table.from_arrays(columns, schema=writer.schema), row_group_size=len(table))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[pyarrow.parquet.ParquetFile]:
    """Open a Parquet file to read from within the block; its pages are compared with their checksums.

    Raises DamagedFile, in the block too, where the file is cut short or changed. Errors of the disk itself stay as
    they are (FileNotFoundError, PermissionError, ...).
    """
    try:
        with pyarrow.parquet.ParquetFile(path, page_checksum_verification=True) as file:
            yield file
    except (pyarrow.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedFile(f"{path} is no complete Parquet file; delete it and run again") from error


def from_stored(table: pyarrow.Table, schema: pyarrow.Schema) -> pyarrow.Table:
    """Return rows read from a file with the types of `schema`, whose columns they have in the same order."""
    columns = [_relabelled(column, field.type) for column, field in zip(table.columns, schema, strict=True)]
    return pyarrow.Table.from_arrays(columns, schema=schema)


def _stored(column: pyarrow.ChunkedArray, type: pyarrow.DataType) -> pyarrow.ChunkedArray:
    return column.cast(stored_type(type)) if pyarrow.types.is_map(type) else column


def _relabelled(column: pyarrow.ChunkedArray, type: pyarrow.DataType) -> pyarrow.ChunkedArray:
    """Read lists of (key, value) as maps: both lie in memory in the same way, but Arrow casts in one direction only."""
    if not pyarrow.types.is_map(type):
        return column
    chunks = [
        pyarrow.Array.from_buffers(type, len(chunk), chunk.buffers()[:2], offset=chunk.offset, children=[chunk.values])
        for chunk in column.chunks
    ]
    return pyarrow.chunked_array(chunks, type=type)


def _leaves(path: str, type: pyarrow.DataType) -> Iterator[tuple[str, pyarrow.DataType]]:
    """The columns of numbers and bytes that Parquet makes of one nested column, each with its type."""
    if pyarrow.types.is_struct(type):
        for field in type:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif pyarrow.types.is_list(type):
        yield from _leaves(f"{path}.list.element", type.value_type)
    else:
        yield path, type
