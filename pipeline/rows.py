"""The row store: no row is computed twice.

Every finished batch of rows becomes a Parquet file of its own in the folder of its algorithm, at once and whole, so
that a killed job loses the batch in hand and nothing else. Studies, shards and jobs share the folder: a row is found
by what decides it, never by who asked for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
import pyarrow

from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json, digest
from pipeline.rowfiles import Key, RowFiles
from pipeline.tables.checks import flaws, to_array
from pipeline.tables.storage import DamagedFile, TableError

__all__ = ["Key", "RowStore"]

IDENTITY = "identity.json"
STATE_COLUMNS = pyarrow.schema([("status", pyarrow.string()), ("reason", pyarrow.string())])


class RowStore:
    """All rows that one algorithm has computed, under any study.

    root: the folder of all stores. identity: everything that decides a row besides its key, as plain JSON values.
    schema: the columns of a row; `status` and `reason` are added. Rows live in `root/stage/algorithm-digest/`, where
    the digest is that of identity and columns.
    """

    def __init__(self, root: Path, stage: str, algorithm: str, identity: Mapping[str, Any], schema: pyarrow.Schema):
        nullable = [field.with_nullable(True) for field in schema if field.name not in STATE_COLUMNS.names]
        self.schema = pyarrow.schema([*nullable, *STATE_COLUMNS], metadata=schema.metadata)
        self.identity = {
            "stage": stage,
            "algorithm": algorithm,
            "identity": dict(identity),
            "columns": [[field.name, str(field.type)] for field in self.schema],
        }
        self.folder = Path(root) / stage / f"{algorithm}-{digest(self.identity)[:16]}"
        self._claim()
        self._files = RowFiles(self.folder, self.schema)
        self._files.refresh()
        self._files.merge()

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Return the keys that have no row yet, in the order given, each once."""
        keys = list(dict.fromkeys(keys))
        if any(key not in self._files.places for key in keys):
            self._files.refresh()
        return [key for key in keys if key not in self._files.places]

    def append(self, keys: Sequence[Key], rows: Sequence[Mapping[str, Any]]) -> None:
        """Store one row per key, as one file that is complete and on disk when this returns.

        rows: dicts of the schema's columns; columns left out are empty, and `status` is ok unless it says otherwise.
        A row with status failed needs a `reason`. Raises TableError for values of the wrong type and, in rows that are
        ok, for NaN and for images that are no PNG: such rows would be found again and again.
        """
        if len(keys) != len(rows):
            raise ValueError(f"{len(rows)} rows for {len(keys)} keys; give one row per key")
        for row in rows:
            if unknown := set(row) - set(self.schema.names):
                raise ValueError(f"the rows of {self.folder.name} have no column {sorted(unknown)[0]!r}")
            if (row.get("status", "ok"), bool(row.get("reason"))) not in (("ok", False), ("failed", True)):
                raise ValueError(
                    f"status is {row.get('status')!r} and reason {row.get('reason')!r}; say why rows failed"
                )
        if not keys:
            return
        columns = [[row.get(name) for row in rows] for name in self.schema.names[:-2]]
        columns += [[row.get("status", "ok") for row in rows], [row.get("reason") for row in rows]]
        okay = numpy.array([status == "ok" for status in columns[-2]])
        checked = [self._checked(*column, keys, okay) for column in zip(columns, self.schema, strict=True)]
        self._files.add(keys, checked)

    def select(self, keys: Iterable[Key], columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Return the rows of `keys`, in the order given: the schema's columns, status and reason, or only `columns`.

        The result depends on the keys and nothing else. Raises UserError where a row is missing.
        """
        keys = list(keys)
        schema = self.schema if columns is None else pyarrow.schema([self.schema.field(name) for name in columns])
        while True:
            if gone := self.missing(keys):
                raise UserError(
                    f"the row store {self.folder} lacks {len(gone)} of {len(keys)} rows, the first for image"
                    f" {gone[0].image_id!r}; run the stage again to compute them"
                )
            try:
                return self._files.read(keys, schema)
            except (FileNotFoundError, DamagedFile):  # merged by another process meanwhile, or just found damaged
                self._files.refresh()

    def _claim(self) -> None:
        """Make the folder say what its rows follow from, and compare it with what is asked for."""
        path = self.folder / IDENTITY
        expected = canonical_json(self.identity)
        if not path.exists():
            with appearing(path) as hidden:
                hidden.write_text(expected, encoding="utf-8")
        if path.read_text(encoding="utf-8") != expected:
            raise UserError(
                f"{path} does not say what its folder's name stands for; move {self.folder} away and run again"
            )

    def _checked(
        self, values: Sequence[Any], field: pyarrow.Field, keys: Sequence[Key], okay: numpy.ndarray
    ) -> pyarrow.Array:
        array = to_array(values, field.name, field.type, f"row store {self.folder}")
        broken, rule = flaws(array)
        if (broken & okay).any():
            image_id = keys[int((broken & okay).argmax())].image_id
            raise TableError(f"row store {self.folder}, column {field.name!r}, image {image_id!r}: {rule}")
        return array
