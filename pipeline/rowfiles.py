"""The files of a row store: one for each batch of rows, merged where they are many.

Any number of processes may read, write and merge at the same time, without a lock: a batch is named by its bytes, so
writing it twice is harmless; files are deleted only after a newer one, with a name never used before, holds a row for
each of their keys. So the newest file with a given key is never deleted. Where a key was stored twice, the row of the
batch with the smallest name counts, whatever came first.
"""

import contextlib
import hashlib
import os
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import astuple, dataclass
from pathlib import Path

import pyarrow

from pipeline.files import appearing
from pipeline.tables.storage import ROW_GROUP_ROWS, DamagedFile, create, from_stored, opened, write_row_groups

MERGE_FROM = 256  # so many small files make a store slow to open
SMALL_BYTES = 4 * 2**20  # a file of this size is worth merging
MERGED_BYTES = 64 * 2**20
MERGING = "merging"  # while this file is there, somebody merges; it only saves doing it twice
MERGE_SECONDS = 3600.0
TAKE_BYTES = 2**30  # Arrow cannot bring more than 2 GiB of images into a new order at once

KEY_COLUMNS = pyarrow.schema(
    [
        ("key_image_id", pyarrow.string()),
        ("key_content", pyarrow.string()),
        ("key_target", pyarrow.string()),
        ("key_sample", pyarrow.int64()),
        ("key_batch", pyarrow.string()),  # in merged files: the name of the batch that the row came with
    ]
)


@dataclass(frozen=True, order=True)
class Key:
    """Which row of an algorithm.

    image_id: whose noise it has. content: sha256 of what it is made from, such as the pixels of the image; where that
    is a caption, or an image and a direction, their `digest`. target: the class that it is for. sample: its number
    among those that are alike in all this, such as probes around one image; each has noise of its own.
    """

    image_id: str
    content: str
    target: str = ""
    sample: int = 0


@dataclass(frozen=True)
class Place:
    """Where a row is stored: its batch, the file that holds it now, and its position there."""

    batch: str
    file: str
    row: int


class RowFiles:
    """The rows in one folder by their keys.

    schema: the columns of a row, all of which may lack a value. places: where the row of each key known so far lies.
    """

    def __init__(self, folder: Path, schema: pyarrow.Schema):
        self.folder = folder
        self.schema = pyarrow.schema([*KEY_COLUMNS, *schema], metadata=schema.metadata)
        self.places: dict[Key, Place] = {}
        self._held: dict[str, list[tuple[Key, str]]] = {}  # the keys of each file, with the batch each came with

    def add(self, keys: Sequence[Key], columns: Iterable[pyarrow.Array]) -> None:
        """Store a batch of rows, in the columns of the schema, as one file; it is on disk when this returns."""
        names = [
            pyarrow.array(column, field.type) for column, field in zip(_transposed(keys), KEY_COLUMNS, strict=True)
        ]
        sink = pyarrow.BufferOutputStream()
        self._write(pyarrow.Table.from_arrays([*names, *columns], schema=self.schema), sink)
        content = sink.getvalue().to_pybytes()
        name = f"{hashlib.sha256(content).hexdigest()[:32]}.parquet"
        with appearing(self.folder / name) as hidden:
            hidden.write_bytes(content)
        self._enter(name, [(key, name) for key in keys])

    def refresh(self) -> None:
        """Take note of the files that this process and others added or merged since the last look."""
        names = {path.name for path in self.folder.glob("*.parquet")}
        for name in sorted(names - self._held.keys()):
            with contextlib.suppress(FileNotFoundError, DamagedFile):
                columns = [column.to_pylist() for column in self._read_file(name, KEY_COLUMNS).columns]
                self._enter(name, [(Key(*key), batch or name) for *key, batch in zip(*columns, strict=True)])
        if vanished := self._held.keys() - names:
            kept = {name: held for name, held in self._held.items() if name not in vanished}
            self._held, self.places = {}, {}
            for name, held in kept.items():
                self._enter(name, held)

    def read(self, keys: list[Key], schema: pyarrow.Schema) -> pyarrow.Table:
        """Return the columns of `schema` of the rows of `keys`, in the order of `keys`.

        Raises FileNotFoundError where another process merged a file since the last `refresh`, and DamagedFile where a
        file is damaged; it is removed, so that its rows can be computed again.
        """
        rows_of: dict[str, dict[int, int]] = {}  # file -> row in it -> row in what is read
        for key in keys:
            rows_of.setdefault(self.places[key].file, {})[self.places[key].row] = 0
        tables: list[pyarrow.Table] = []
        count = 0
        for name, rows in rows_of.items():
            tables.append(self._read_file(name, schema, sorted(rows)))
            rows.update({row: count + position for position, row in enumerate(sorted(rows))})
            count += len(rows)
        if not tables:
            return schema.empty_table()
        read = pyarrow.concat_tables(tables)
        order = [rows_of[place.file][place.row] for place in map(self.places.__getitem__, keys)]
        if read.nbytes < TAKE_BYTES:
            return read.take(order)
        return pyarrow.concat_tables([read.slice(row, 1) for row in order])

    def merge(self) -> None:
        """Merge small files, where there are many, into large ones."""
        if len(self._held) < MERGE_FROM:
            return
        with _alone(self.folder / MERGING) as alone:
            if alone:
                self.refresh()
                for group in self._mergeable():
                    self._merge_group(group)

    def _enter(self, name: str, held: list[tuple[Key, str]]) -> None:
        self._held[name] = held
        for row, (key, batch) in enumerate(held):
            known = self.places.get(key)
            if known is None or batch < known.batch:
                self.places[key] = Place(batch, name, row)

    def _read_file(self, name: str, schema: pyarrow.Schema, rows: Sequence[int] | None = None) -> pyarrow.Table:
        """Read the columns of `schema` from a file, all rows or some (ascending); a damaged file is removed."""
        try:
            with opened(self.folder / name) as file:
                if file.schema_arrow.names != self.schema.names:
                    raise DamagedFile(f"{self.folder / name} has other columns than the rows of its folder")
                tables = []
                first = 0
                for group in range(file.num_row_groups):
                    count = file.metadata.row_group(group).num_rows
                    picked = None if rows is None else [row - first for row in rows if first <= row < first + count]
                    if picked is None or picked:
                        table = file.read_row_group(group, columns=schema.names).select(schema.names)
                        tables.append(table if picked is None else table.take(picked))
                    first += count
        except DamagedFile:
            (self.folder / name).unlink(missing_ok=True)
            raise
        return from_stored(pyarrow.concat_tables(tables), schema)

    def _write(self, table: pyarrow.Table, sink: Path | pyarrow.NativeFile) -> None:
        with create(sink, self.schema) as writer:
            for start in range(0, len(table), ROW_GROUP_ROWS):
                write_row_groups(writer, table.slice(start, ROW_GROUP_ROWS))

    def _mergeable(self) -> Iterator[list[str]]:
        """The names of small files, in groups of at most MERGED_BYTES; none where small files are few."""
        sizes = {}
        for name in sorted(self._held):
            with contextlib.suppress(FileNotFoundError):
                sizes[name] = (self.folder / name).stat().st_size
        small = [name for name in sizes if sizes[name] <= SMALL_BYTES]
        group: list[str] = []
        for name in small if len(small) >= MERGE_FROM else []:
            if group and sum(sizes[member] for member in group) + sizes[name] > MERGED_BYTES:
                yield group
                group = []
            group.append(name)
        if len(group) > 1:
            yield group

    def _merge_group(self, names: list[str]) -> None:
        best: dict[Key, Place] = {}
        tables: dict[str, pyarrow.Table] = {}
        for name in sorted(self._held.keys() & set(names)):
            with contextlib.suppress(FileNotFoundError, DamagedFile):
                tables[name] = self._read_file(name, self.schema)
                for row, (key, batch) in enumerate(self._held[name]):
                    if key not in best or batch < best[key].batch:
                        best[key] = Place(batch, name, row)
        if len(tables) < 2:
            return
        pieces = []
        column = self.schema.names.index("key_batch")
        for name, table in tables.items():
            places = [place for place in best.values() if place.file == name]
            if places:
                batches = pyarrow.array([place.batch for place in places], pyarrow.string())
                taken = table.take([place.row for place in places])
                pieces.append(taken.set_column(column, self.schema.field(column), batches))
        merged = pyarrow.concat_tables(pieces)
        with appearing(self.folder / f"merged-{uuid.uuid4().hex}.parquet") as hidden:
            self._write(merged, hidden)
        for name in tables:
            (self.folder / name).unlink(missing_ok=True)
        self.refresh()


def forget_failed(folder: Path, image_ids: Set[str]) -> int:
    """Take the failed rows of some images out of the files of a store, and return how many they were.

    Killed on the way, it leaves every row where it was or takes it out; nobody else may use the store meanwhile, or
    the rows may come back.
    """
    forgotten: set[Key] = set()
    for path in sorted(folder.glob("*.parquet")):
        with contextlib.suppress(DamagedFile), opened(path) as file:
            table = file.read()
            failed = [
                row["status"] == "failed" and row["key_image_id"] in image_ids
                for row in table.select(["status", "key_image_id"]).to_pylist()
            ]
            if not any(failed):
                continue
            keys = table.filter(failed).select(KEY_COLUMNS.names[:-1]).to_pylist()
            forgotten |= {Key(*key.values()) for key in keys}
            if not all(failed):
                _keep(table.filter([not each for each in failed]), path)
            path.unlink()
    return len(forgotten)


def _keep(rows: pyarrow.Table, path: Path) -> None:
    """Write some rows of a file to another one, with the batch that they came with."""
    column = KEY_COLUMNS.names.index("key_batch")
    batches = pyarrow.array([batch or path.name for batch in rows["key_batch"].to_pylist()], pyarrow.string())
    rows = rows.set_column(column, rows.schema.field(column), batches)
    with (
        appearing(path.with_name(f"merged-{uuid.uuid4().hex}.parquet")) as hidden,
        create(hidden, rows.schema) as writer,
    ):
        for start in range(0, len(rows), ROW_GROUP_ROWS):
            write_row_groups(writer, rows.slice(start, ROW_GROUP_ROWS))


def _transposed(keys: Sequence[Key]) -> list[list]:
    """The values of KEY_COLUMNS; the batch is empty, since a file knows its own name."""
    return [*map(list, zip(*map(astuple, keys), strict=True)), [None] * len(keys)]


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Tell whether this process may work while others stay away; a mark left by a killed one counts for an hour."""
    with contextlib.suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > MERGE_SECONDS:
            path.unlink(missing_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
