"""Write tables: checked row by row, in files that appear whole."""

import contextlib
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow

from pipeline.errors import nearest
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.tables.checks import Rows, check_rows, conform
from pipeline.tables.schemas import SCHEMAS
from pipeline.tables.storage import ROW_GROUP_ROWS, create, write_row_groups

PROVENANCE_KEY, DIGEST_KEY = b"counterfactory", b"counterfactory-sha256"
PROVENANCE = (
    *("stage", "study", "inputs", "options", "code", "seed", "weights", "tasks"),
    *("rows", "before", "files"),
)


def write_table(path: Path, name: str, rows: Rows, provenance: Mapping[str, Any]) -> None:
    """Write one part of table `name` to `path`; equal rows and provenance give equal bytes.

    rows: dicts, or an Arrow table; columns that may lack a value may be left out. provenance: what the rows follow
    from, and nothing that differs from run to run: any of stage, study, inputs (table -> `digest_of` its parts),
    options, code (digest), seed, weights (name -> identity), tasks (class names by task), rows, before and files (what
    a rule gives beside its options). Raises TableError, and leaves no file, where the rows break the table's contract.
    """
    with TableWriter(path, name, provenance) as table:
        table.extend(rows)


class TableWriter:
    """A part of a table that is written batch by batch, and appears when the `with` block ends without an error.

    The bytes depend on the rows and their order, not on how they were split into batches.
    """

    def __init__(self, path: Path, name: str, provenance: Mapping[str, Any]):
        if name not in SCHEMAS:
            raise ValueError(f"there is no table {name!r}; did you mean {nearest(name, SCHEMAS)!r}?")
        for key in provenance:
            if key not in PROVENANCE:
                raise ValueError(f"provenance has no key {key!r}; it may name {', '.join(PROVENANCE)}")
        self.path = Path(path)
        self.name = name
        self.rows = 0
        self._note = canonical_json({"table": name, "provenance": dict(provenance)})
        self._seen: dict[str, str] = {}
        self._pending: list[pyarrow.Table] = []
        self._context = contextlib.ExitStack()

    def __enter__(self) -> Self:
        schema = SCHEMAS[self.name]
        metadata = {**(schema.metadata or {}), PROVENANCE_KEY: self._note}
        hidden = self._context.enter_context(appearing(self.path))
        self._file = self._context.enter_context(HashedFile(hidden, self._note.encode()))
        self._writer = self._context.enter_context(create(self._file, schema.with_metadata(metadata)))
        return self

    def extend(self, rows: Rows) -> None:
        """Append rows; raises TableError where they break the table's contract or repeat a row_id."""
        table = conform(rows, self.name, str(self.path))
        check_rows(table, self.name, str(self.path), first_row=self.rows, seen=self._seen)
        self.rows += len(table)
        self._pending.append(table)
        while sum(map(len, self._pending)) >= ROW_GROUP_ROWS:
            self._write(ROW_GROUP_ROWS)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._context.__exit__(kind, error, traceback)
        else:
            with self._context:
                self._write(ROW_GROUP_ROWS)
                self._writer.add_key_value_metadata({DIGEST_KEY: self._file.sha256.hexdigest()})

    def _write(self, count: int) -> None:
        if self._pending:
            table = pyarrow.concat_tables(self._pending)
            write_row_groups(self._writer, table.slice(0, count))
            self._pending = [table.slice(count)] if len(table) > count else []


class HashedFile(io.BufferedWriter):
    """A new file, hashed as it is written. first: bytes that are hashed before it begins."""

    def __init__(self, path: Path, first: bytes):
        super().__init__(io.FileIO(path, "w"))
        self.sha256 = hashlib.sha256(first)

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        return super().write(data)


def provenance_of(schema: pyarrow.Schema) -> tuple[str, dict[str, Any]] | None:
    """Return the name and the provenance of the table in a file of `schema`, or None where it is none of ours."""
    note = (schema.metadata or {}).get(PROVENANCE_KEY)
    if note is None:
        return None
    content = json.loads(note)
    return content["table"], content["provenance"]
