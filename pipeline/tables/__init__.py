"""The Parquet contracts of all stages: schemas, checked and atomic writing, checked reading, provenance."""

from pipeline.tables.read import digest_of, iterate_table, read_provenance, read_table, scan_table
from pipeline.tables.schemas import COLUMNS, SCHEMAS, pack, row_id, unpack
from pipeline.tables.storage import DamagedFile, TableError
from pipeline.tables.write import TableWriter, write_table

__all__ = [
    "COLUMNS",
    "SCHEMAS",
    "DamagedFile",
    "TableError",
    "TableWriter",
    "digest_of",
    "iterate_table",
    "pack",
    "read_provenance",
    "read_table",
    "row_id",
    "scan_table",
    "unpack",
    "write_table",
]
