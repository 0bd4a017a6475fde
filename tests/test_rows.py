import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numpy
import pyarrow
import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import pipeline.rowfiles
from pipeline.errors import UserError
from pipeline.images import encode_png
from pipeline.rows import Key, RowStore
from pipeline.tables import SCHEMAS, TableError

SCHEMA = pyarrow.schema([("logits", pyarrow.list_(pyarrow.float32())), ("steps", pyarrow.int32())])
IDENTITY = {"options": {"steps": 20}, "code": "00ff"}
KEYS = [
    Key(f"image-{number % 7}", f"{number % 7:02x}", target=str(number % 3), sample=number % 2) for number in range(42)
]


def compute_row(key):
    """What the row of a key must be, whoever computes it."""
    number = int(key.image_id.removeprefix("image-"))
    return {"logits": [number / 3, float(key.target), key.sample], "steps": number}


def compute_batch(keys):
    return [compute_row(key) for key in keys]


def open_store(root, identity=IDENTITY, schema=SCHEMA):
    return RowStore(Path(root), "saliency", "fido", identity, schema)


def expected(keys):
    rows = [{**compute_row(key), "status": "ok", "reason": None} for key in keys]
    return pyarrow.Table.from_pylist(rows, schema=pyarrow.schema([*SCHEMA, ("status", "string"), ("reason", "string")]))


def fill(store, keys, size):
    """Store the rows of keys that are missing, so many in a batch."""
    missing = store.missing(keys)
    for start in range(0, len(missing), size):
        store.append(missing[start : start + size], compute_batch(missing[start : start + size]))


def test_missing_keeps_the_order_and_names_each_key_once(tmp_path):
    store = open_store(tmp_path)
    store.append(KEYS[2:4], compute_batch(KEYS[2:4]))
    assert store.missing([KEYS[5], KEYS[2], KEYS[0], KEYS[5]]) == [KEYS[5], KEYS[0]]


def test_equal_work_stored_twice_is_one_file(tmp_path):
    one, other = open_store(tmp_path), open_store(tmp_path)
    one.append(KEYS[:4], compute_batch(KEYS[:4]))
    other.append(KEYS[:4], compute_batch(KEYS[:4]))
    assert len(list(one.folder.glob("*.parquet"))) == 1
    assert open_store(tmp_path).select(KEYS[:4]).equals(expected(KEYS[:4]))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("merge", [False, True])
def test_of_a_row_computed_twice_the_same_one_counts_whatever_came_first(tmp_path, monkeypatch, reverse, merge):
    versions = [[{"logits": [value], "steps": value}, {"steps": value}] for value in range(6)]
    store = open_store(tmp_path / "one")
    for rows in versions[::-1] if reverse else versions:
        store.append(KEYS[:2], rows)
        if merge:
            monkeypatch.setattr(pipeline.rowfiles, "MERGE_FROM", 2)
            store = open_store(tmp_path / "one")
    plain = open_store(tmp_path / "other")
    for rows in versions:
        plain.append(KEYS[:2], rows)
    assert store.select(KEYS[:2]).equals(plain.select(KEYS[:2]))


def test_select_returns_only_the_columns_asked_for(tmp_path):
    store = open_store(tmp_path)
    fill(store, KEYS[:4], 2)
    assert store.select(KEYS[3:0:-1], ["steps", "status"]).to_pydict() == {"steps": [3, 2, 1], "status": ["ok"] * 3}
    assert store.select([]).schema.names == ["logits", "steps", "status", "reason"]


def test_select_of_a_row_that_was_never_computed_says_so(tmp_path):
    store = open_store(tmp_path)
    store.append(KEYS[:1], compute_batch(KEYS[:1]))
    with pytest.raises(UserError, match="lacks 1 of 2 rows, the first for image 'image-1'; run the stage again"):
        store.select(KEYS[:2])


@pytest.mark.parametrize("kept", [0, 4, 300, -1])
def test_a_file_cut_short_is_removed_and_its_rows_are_computed_again(tmp_path, kept):
    store = open_store(tmp_path)
    store.append(KEYS[:3], compute_batch(KEYS[:3]))
    (damaged,) = store.folder.glob("*.parquet")
    damaged.write_bytes(damaged.read_bytes()[:kept])
    store.append(KEYS[3:6], compute_batch(KEYS[3:6]))

    again = open_store(tmp_path)
    assert not damaged.exists() and again.missing(KEYS[:6]) == KEYS[:3]
    fill(again, KEYS[:6], 8)
    assert again.select(KEYS[:6]).equals(expected(KEYS[:6]))


def test_a_page_that_changed_on_disk_is_never_trusted(tmp_path):
    schema = pyarrow.schema([SCHEMAS["images"].field("image")], metadata=SCHEMAS["images"].metadata)
    png = encode_png(numpy.arange(192, dtype=numpy.uint8).reshape(8, 8, 3))
    store = open_store(tmp_path, schema=schema)
    store.append(KEYS[:1], [{"image": {"bytes": png, "path": None}}])
    assert store.select(KEYS[:1])["image"].to_pylist() == [{"bytes": png, "path": None}]
    (path,) = store.folder.glob("*.parquet")
    content = path.read_bytes()
    path.write_bytes(content.replace(png[20:40], bytes(20)))
    assert path.read_bytes() != content
    with pytest.raises(UserError, match="lacks 1 of 1 rows"):
        store.select(KEYS[:1])
    assert not path.exists() and open_store(tmp_path, schema=schema).missing(KEYS[:1]) == KEYS[:1]


@pytest.mark.parametrize(
    ("rows", "error", "sentence"),
    [
        ([{"steps": 1}], ValueError, "1 rows for 2 keys"),
        ([{"steps": 1}, {"step": 1}], ValueError, "no column 'step'"),
        ([{"steps": 1}, {"status": "failed"}], ValueError, "status is 'failed' and reason None; say why rows failed"),
        ([{"steps": 1}, {"status": "done"}], ValueError, "status is 'done'"),
        ([{"steps": 1}, {"reason": "too dark"}], ValueError, "reason 'too dark'"),
        ([{"steps": 1}, {"steps": 1.5}], TableError, "column 'steps', row 1: must be int32, but is 1.5"),
        ([{"steps": 1}, {"logits": [float("nan")]}], TableError, "column 'logits', image 'image-1': must not hold NaN"),
    ],
)
def test_rows_that_are_not_as_declared_are_not_stored(tmp_path, rows, error, sentence):
    store = open_store(tmp_path)
    with pytest.raises(error, match=sentence):
        store.append(KEYS[:2], rows)
    assert store.missing(KEYS[:2]) == KEYS[:2]


def test_a_row_that_failed_may_keep_what_was_computed_of_it(tmp_path):
    store = open_store(tmp_path)
    store.append(KEYS[:1], [{"logits": [float("inf"), float("nan")], "status": "failed", "reason": "diverged"}])
    assert str(store.select(KEYS[:1])["logits"].to_pylist()) == "[[inf, nan]]"


def test_the_folder_says_what_its_rows_follow_from(tmp_path):
    store = open_store(tmp_path)
    stored = json.loads((store.folder / "identity.json").read_text())
    assert stored["identity"] == IDENTITY and store.folder.parent == tmp_path / "saliency"
    assert store.folder.name.startswith("fido-") and len(store.folder.name) == len("fido-") + 16
    assert open_store(tmp_path, {"code": "00ff", "options": {"steps": 20}}).folder == store.folder
    assert open_store(tmp_path, {**IDENTITY, "code": "00fe"}).folder != store.folder
    assert open_store(tmp_path, schema=SCHEMA.append(pyarrow.field("more", pyarrow.int32()))).folder != store.folder


def test_a_folder_that_says_otherwise_is_refused(tmp_path):
    (open_store(tmp_path).folder / "identity.json").write_text("{}")
    with pytest.raises(UserError, match=r"identity\.json does not say what its folder's name stands for; move "):
        open_store(tmp_path)


class SharedFolder(RuleBasedStateMachine):
    """Stores that come and go on one folder, with merges and a reader whose notes grow old."""

    def __init__(self):
        super().__init__()
        self.root = tempfile.TemporaryDirectory()
        self.stores = [open_store(self.root.name), open_store(self.root.name)]
        self.done = set()

    @rule(store=some.integers(0, 1), keys=some.lists(some.sampled_from(KEYS), min_size=1, max_size=4, unique=True))
    def append(self, store, keys):
        self.stores[store].append(keys, compute_batch(keys))
        self.done.update(keys)

    @rule(store=some.integers(0, 1))
    def reopen_and_merge(self, store):
        self.stores[store] = open_store(self.root.name)

    @rule(store=some.integers(0, 1))
    def merge_with_old_notes(self, store):
        files = self.stores[store]._files
        files._merge_group(sorted(files._held))

    @invariant()
    def nothing_is_lost(self):
        keys = sorted(self.done)
        for store in self.stores:
            assert store.missing(keys) == []
            assert store.select(keys).equals(expected(keys))

    def teardown(self):
        self.root.cleanup()


def test_merging_never_loses_a_row(monkeypatch):
    monkeypatch.setattr(pipeline.rowfiles, "MERGE_FROM", 3)
    run_state_machine_as_test(SharedFolder, settings=settings(max_examples=12, stateful_step_count=12, deadline=None))


def test_many_small_files_become_few(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.rowfiles, "MERGE_FROM", 10)
    monkeypatch.setattr(pipeline.rowfiles, "MERGED_BYTES", 20_000)
    store = open_store(tmp_path)
    fill(store, KEYS, 1)
    again = open_store(tmp_path)
    assert len(list(again.folder.glob("*.parquet"))) < 10 and list(again.folder.glob("merging")) == []
    assert again.select(KEYS).equals(expected(KEYS)) and store.select(KEYS).equals(expected(KEYS))


def test_a_mark_left_by_a_killed_merge_does_not_stop_later_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.rowfiles, "MERGE_FROM", 4)
    store = open_store(tmp_path)
    fill(store, KEYS[:8], 1)
    mark = store.folder / "merging"
    mark.touch()
    open_store(tmp_path)
    assert len(list(store.folder.glob("*.parquet"))) == 8
    os.utime(mark, (0, 0))
    open_store(tmp_path)
    assert len(list(store.folder.glob("*.parquet"))) == 1 and not mark.exists()


WORKER = """
import sys
sys.path.insert(0, {tests!r})
import pipeline.rowfiles
from test_rows import KEYS, compute_batch, expected, open_store
pipeline.rowfiles.MERGE_FROM = 5
turn = int(sys.argv[1])
keys = KEYS[turn:] + KEYS[:turn]
for size in (5, 4):
    for start in range(0, len(keys), size):
        store = open_store({root!r})
        store.append(keys[start : start + size], compute_batch(keys[start : start + size]))
        assert store.missing(keys[: start + size]) == []
        assert store.select(keys[: start + size]).equals(expected(keys[: start + size]))
"""


def test_processes_that_write_read_and_merge_at_the_same_time_lose_nothing(tmp_path):
    program = textwrap.dedent(WORKER).format(tests=str(Path(__file__).parent), root=str(tmp_path))
    workers = [
        subprocess.Popen([sys.executable, "-c", program, turn], stderr=subprocess.PIPE, text=True)
        for turn in ("0", "20")
    ]
    failures = [worker.communicate()[1] for worker in workers if worker.wait()]
    assert failures == []
    assert open_store(tmp_path).select(KEYS).equals(expected(KEYS))


def test_rows_of_many_files_are_selected_in_the_order_asked_for(tmp_path):
    keys = [Key(f"image-{number}", f"{number:064x}", sample=number % 3) for number in range(5000)]
    store = open_store(tmp_path)
    for start in range(0, 5000, 63):
        batch = keys[start : start + 63]
        store.append(batch, [{"logits": [start, 1.0], "steps": start} for _ in batch])
    assert len(list(store.folder.glob("*.parquet"))) == 80
    shuffled = [keys[place] for place in numpy.random.default_rng(0).permutation(5000)]
    table = open_store(tmp_path).select(shuffled)
    assert table["steps"].to_pylist() == [int(key.image_id[6:]) // 63 * 63 for key in shuffled]


def test_more_than_arrow_can_sort_at_once_is_arranged_in_pieces(tmp_path, monkeypatch):
    store = open_store(tmp_path)
    fill(store, KEYS, 4)
    monkeypatch.setattr(pipeline.rowfiles, "TAKE_BYTES", 10)
    assert store.select(KEYS[::-1] + KEYS).equals(expected(KEYS[::-1] + KEYS))
