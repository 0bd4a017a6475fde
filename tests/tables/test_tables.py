import itertools
import os
import signal
import subprocess
import sys
import textwrap

import numpy
import polars
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.images import decode_png
from pipeline.tables import (
    SCHEMAS,
    DamagedFile,
    TableError,
    TableWriter,
    digest_of,
    iterate_table,
    read_provenance,
    read_table,
    scan_table,
    storage,
    write_table,
)

PROVENANCE = {"stage": "sample", "study": "default", "seed": 7, "options": {"size": 8}, "weights": {"cnn": "00ff"}}


def test_rows_come_back_as_they_were_written(images, image):
    table = read_table(images, "images")
    *whole, broken = table.to_pylist(maps_as_pydicts="strict")
    assert whole == [image(row) for row in range(5)]
    assert {column: value for column, value in broken.items() if value is not None} == {
        **{"row_id": "broken", "image_id": "broken", "split": "test"},
        **{"status": "failed", "reason": "the file is no image"},
    }
    assert table.schema.equals(SCHEMAS["images"], check_metadata=True)


def test_a_table_says_what_it_follows_from(images):
    assert read_provenance(images) == {"stage": "sample", "options": {"size": 8}}


def test_the_digest_of_a_table_is_that_of_its_rows_and_of_what_they_follow_from(image, tmp_path):
    def digest(name, rows=3, **changed):
        path = tmp_path / name
        write_table(path, "images", [image(row) for row in range(rows)], {**PROVENANCE, **changed})
        return digest_of(path)

    first = digest("a")
    assert digest("b") == first and digest("a") == first
    assert len({first, digest("a", rows=2), digest("a", seed=8), digest("a", inputs={"images": "0"})}) == 4
    assert digest_of([tmp_path / "a", tmp_path / "b"]) != digest_of([tmp_path / "b", tmp_path / "a"])
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    for path in ("absent.parquet", "other.parquet"):
        with pytest.raises(TableError, match=path):
            digest_of(tmp_path / path)


def test_hugging_face_datasets_shows_the_images(image, images, tmp_path):
    import datasets

    datasets.disable_progress_bars()
    shown = datasets.load_dataset("parquet", data_files=str(images), split="train", cache_dir=str(tmp_path / "cache"))
    assert shown.features["image"] == datasets.Image()
    assert shown[3]["image"].size == (8, 8)
    assert (numpy.asarray(shown[3]["image"]) == decode_png(image(3)["image"]["bytes"])).all()
    assert shown[3]["attributes"] == [{"key": "smile", "value": 1}, {"key": "unknown", "value": None}]
    assert shown[5]["image"] is None


@settings(max_examples=15, deadline=None)
@given(cuts=some.lists(some.integers(0, 600), max_size=5).map(sorted))
def test_equal_rows_make_equal_bytes_however_they_arrive(prediction, tmp_path_factory, cuts):
    folder = tmp_path_factory.mktemp("equal")
    rows = [prediction(row) for row in range(600)]
    write_table(folder / "whole.parquet", "predictions", rows, PROVENANCE)
    with TableWriter(folder / "pieces.parquet", "predictions", dict(reversed(PROVENANCE.items()))) as table:
        for start, end in itertools.pairwise([0, *cuts, 600]):
            table.extend(rows[start:end])
    write_table(
        folder / "again.parquet", "predictions", read_table(folder / "pieces.parquet", "predictions"), PROVENANCE
    )
    first, *others = [path.read_bytes() for path in folder.iterdir()]
    assert all(other == first for other in others)


def test_png_is_kept_as_it_is_and_everything_else_is_compressed(images):
    metadata = pyarrow.parquet.read_metadata(images)
    chunks = [metadata.row_group(0).column(index) for index in range(metadata.num_columns)]
    pixels = {"image.bytes", "parts.list.element.mask"}
    assert {chunk.path_in_schema for chunk in chunks if chunk.compression == "UNCOMPRESSED"} == pixels
    assert {chunk.compression for chunk in chunks if chunk.path_in_schema not in pixels} == {"ZSTD"}
    assert all("DICTIONARY" not in str(chunk.encodings) for chunk in chunks if chunk.path_in_schema in pixels)


def test_row_groups_hold_at_most_256_rows_and_32_megabytes(prediction, image, tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "ROW_GROUP_BYTES", 20_000)
    small, large = [prediction(row) for row in range(300)], [image(row) for row in range(90)]
    write_table(tmp_path / "small.parquet", "predictions", small[:256], {})
    write_table(tmp_path / "large.parquet", "images", large, {})
    metadata = pyarrow.parquet.read_metadata(tmp_path / "large.parquet")
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    assert len(groups) > 1 and all(group.total_byte_size < 22_000 for group in groups)
    monkeypatch.undo()
    write_table(tmp_path / "small.parquet", "predictions", small, {})
    metadata = pyarrow.parquet.read_metadata(tmp_path / "small.parquet")
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [256, 44]


def test_columns_that_are_not_asked_for_are_not_read(image, tmp_path):
    path = tmp_path / "images.parquet"
    write_table(path, "images", [image(row) for row in range(3)], {})
    content = bytearray(path.read_bytes())
    for row in range(3):
        place = content.find(image(row)["image"]["bytes"])
        content[place + 20 : place + 40] = bytes(20)
    path.write_bytes(content)
    assert read_table(path, "images", ["seed", "attributes"]).column_names == ["seed", "attributes"]
    assert read_table(path, "images", ["seed"], row_ids=["image-2"]).to_pylist() == [{"seed": 7}]
    assert [len(batch) for batch in iterate_table(path, "images", ["row_id"])] == [3]
    with pytest.raises(DamagedFile, match=r"images\.parquet is no complete Parquet file; delete it and run again"):
        read_table(path, "images", ["image"])


def test_parts_are_read_as_one_table_in_the_order_asked(prediction, tmp_path):
    parts = [tmp_path / f"part-{part}.parquet" for part in range(3)]
    for part, path in enumerate(parts):
        write_table(path, "predictions", [prediction(row) for row in range(part * 300, part * 300 + 300)], {})
    assert read_table(parts, "predictions", ["row_id"])["row_id"].to_pylist() == [
        f"cnn/image-{row}" for row in range(900)
    ]
    wanted = [f"cnn/image-{row}" for row in (899, 0, 301, 0)]
    assert read_table(parts, "predictions", ["logits"], row_ids=wanted)["logits"].to_pylist() == [
        [0.5, row] for row in (899.0, 0.0, 301.0, 0.0)
    ]
    assert read_table(parts, "predictions", ["logits"], row_ids=[]).num_rows == 0
    with pytest.raises(TableError, match=r"part-1\.parquet: no row of the table predictions has row_id 'cnn/image-5'"):
        read_table(parts[1], "predictions", row_ids=["cnn/image-5"])
    mean = scan_table(parts, "predictions").select(polars.col("logits").list.get(1).mean()).collect().item()
    assert mean == pytest.approx(899 / 2)


def test_a_table_without_rows_is_a_table(tmp_path):
    write_table(tmp_path / "empty.parquet", "images", [], {})
    assert read_table(tmp_path / "empty.parquet", "images").schema == SCHEMAS["images"]
    assert read_table([], "images", ["row_id"]).num_rows == 0


def test_a_killed_writer_leaves_no_visible_file(tmp_path):
    program = textwrap.dedent(f"""
        import os, signal
        from pipeline.tables import TableWriter
        with TableWriter({str(tmp_path / "part.parquet")!r}, "metrics", {{}}) as table:
            table.extend([dict(row_id=str(r), status="ok", family="checks", metric="l1") for r in range(500)])
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("[!.]*"))


def test_an_error_while_writing_leaves_what_was_there(prediction, tmp_path):
    path = tmp_path / "part.parquet"
    write_table(path, "predictions", [prediction(0)], PROVENANCE)
    before = path.read_bytes()
    with pytest.raises(KeyError), TableWriter(path, "predictions", PROVENANCE) as table:
        table.extend([prediction(row) for row in range(400)])
        raise KeyError
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["part.parquet"]
