import itertools
import os

import numpy
import polars
import pyarrow
import pyarrow.parquet
import pytest

from pipeline.tables import (
    COLUMNS,
    SCHEMAS,
    TableError,
    TableWriter,
    iterate_table,
    pack,
    read_provenance,
    read_table,
    row_id,
    scan_table,
    unpack,
    write_table,
)

LEADING = ("row_id", "status", "reason")
FAILED = {"status": "failed", "reason": "the file is no image"}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": None}, "column 'split', row 2 (row_id 'image-2'): must have a value; it is None"),
        ({"height": None}, "column 'height', row 2 (row_id 'image-2'): must have a value unless the row failed"),
        ({"height": 8.5}, "column 'height', row 2: must be int32, but is 8.5"),
        ({"height": True}, "column 'height', row 2: must be int32, but is True"),
        ({"height": 2**40}, "column 'height', row 2: must be int32, but is 1099511627776"),
        ({"caption": 3}, "column 'caption', row 2: must be string, but is 3"),
        ({"attributes": {"a": 0.5}}, "column 'attributes', row 2: must be map<string, int32>, but is {'a': 0.5}"),
        ({"captoin": "x"}, "the table images has no column 'captoin'; did you mean 'caption'?"),
        ({"zebra": "x"}, "the table images has no column 'zebra'; it has row_id, image_id"),
        ({"status": "done"}, "column 'status', row 2 (row_id 'image-2'): must be ok, failed or unscored; it is 'done'"),
        (
            {"status": "failed"},
            "column 'reason', row 2 (row_id 'image-2'): must say why the row failed or is unscored; it is None",
        ),
        ({"status": "failed", "reason": ""}, "must say why the row failed or is unscored; it is ''"),
        ({"reason": "none"}, "column 'reason', row 2 (row_id 'image-2'): must be empty in a row that is ok"),
        ({"row_id": "image-0"}, "column 'row_id', row 2 (row_id 'image-0'): must be unique, but stands in "),
        (
            {"image": {"bytes": b"GIF89a", "path": None}},
            "column 'image', row 2 (row_id 'image-2'): must hold the bytes",
        ),
        ({"image": {"bytes": None, "path": "a.png"}}, "column 'image', row 2 (row_id 'image-2'): must hold the bytes"),
        ({"image": b"\x89PNG"}, "column 'image', row 2: must be struct<bytes: binary, path: string>"),
        ({"parts": [{"concept": "a", "mask": b"1"}]}, "column 'parts', row 2 (row_id 'image-2'): must hold masks"),
        ({"nuisance": {"light": float("nan")}}, "column 'nuisance', row 2 (row_id 'image-2'): must not hold NaN"),
    ],
)
def test_a_row_that_breaks_the_contract_is_named(image, tmp_path, changes, sentence):
    with pytest.raises(TableError) as error:
        write_table(tmp_path / "part.parquet", "images", [image(0), image(1), image(2, **changes), image(3)], {})
    assert str(error.value).startswith(str(tmp_path / "part.parquet")) and sentence in str(error.value)
    assert "\n" not in str(error.value) and not os.listdir(tmp_path)


@pytest.mark.parametrize("logits", [[float("nan"), 0.0], [None, 0.0]])
def test_logits_are_numbers_unless_the_row_failed(prediction, tmp_path, logits):
    with pytest.raises(TableError, match=r"column 'logits', row 1 .*must not hold NaN"):
        write_table(tmp_path / "part.parquet", "predictions", [prediction(0), prediction(1, logits=logits)], {})
    write_table(tmp_path / "part.parquet", "predictions", [prediction(0), prediction(1, logits=logits, **FAILED)], {})


def test_a_row_id_may_not_return_in_another_batch_or_part(prediction, tmp_path):
    first, other = tmp_path / "first.parquet", tmp_path / "other.parquet"
    with TableWriter(first, "predictions", {}) as table:
        table.extend([prediction(0)])
        with pytest.raises(
            TableError, match=r"'row_id', row 1 .*must be unique, but stands in .*first\.parquet already"
        ):
            table.extend([prediction(0)])
    write_table(first, "predictions", [prediction(0)], {})
    write_table(other, "predictions", [prediction(1), prediction(0)], {})
    with pytest.raises(TableError, match=r"other\.parquet.*'row_id', row 1 .*stands in .*first\.parquet already"):
        read_table([first, other], "predictions", ["predicted"])


def test_a_missing_column_is_named(image, tmp_path):
    rows = [{key: value for key, value in image(row).items() if key != "split"} for row in range(2)]
    with pytest.raises(TableError, match=r"part\.parquet: column 'split' of the table images is missing"):
        write_table(tmp_path / "part.parquet", "images", rows, {})
    with pytest.raises(TableError, match=r"column 'status' of the table images is missing"):
        write_table(tmp_path / "part.parquet", "images", pyarrow.table({"row_id": ["a"], "image_id": ["a"]}), {})


def rewrite(path, change):
    """Change a table behind the back of its contract."""
    pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda table: table.drop(["seed"]), "column 'seed' of the table images is missing"),
        (lambda table: table.append_column("more", table["seed"]), "the table images has no column 'more'"),
        (
            lambda table: table.set_column(6, "height", table["height"].cast(pyarrow.float64())),
            "column 'height': must be int32, but is double",
        ),
        (
            lambda table: table.set_column(2, "status", pyarrow.array(["fine"] * 6)),
            "column 'status', row 0 (row_id 'image-0'): must be ok, failed or unscored; it is 'fine'",
        ),
        (
            lambda table: table.set_column(0, "row_id", pyarrow.array(["a", "b", "c", "d", "e", "b"])),
            "column 'row_id', row 5 (row_id 'b'): must be unique",
        ),
    ],
)
def test_a_file_that_breaks_the_contract_is_refused_when_read(images, change, sentence):
    rewrite(images, change)
    with pytest.raises(TableError) as error:
        read_table(images, "images")
    assert sentence in str(error.value) and str(images) in str(error.value)


def test_a_table_in_the_place_of_another_is_refused(images):
    with pytest.raises(TableError, match=r"part-000\.parquet holds the table images, where the table predictions is"):
        read_table(images, "predictions")


@pytest.mark.parametrize("kept", [0, 3, 200, -1])
def test_a_file_cut_short_is_told_in_one_sentence(images, kept):
    images.write_bytes(images.read_bytes()[:kept])
    for read in (lambda: read_table(images, "images", ["row_id"]), lambda: read_provenance(images)):
        with pytest.raises(TableError, match=r"part-000\.parquet is no complete Parquet file; delete it and run again"):
            read()


def test_a_missing_file_is_told_in_one_sentence(tmp_path):
    with pytest.raises(TableError, match=r"there is no such file; run the stage that writes the table images"):
        read_table(tmp_path / "part.parquet", "images")
    with pytest.raises(TableError, match="no such file"):
        scan_table(tmp_path / "part.parquet", "images")


def test_a_parquet_file_of_others_has_no_provenance(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "part.parquet")
    with pytest.raises(TableError, match="none that this pipeline wrote"):
        read_provenance(tmp_path / "part.parquet")


def test_tables_made_with_polars_are_accepted_and_other_types_refused(tmp_path):
    path = tmp_path / "part.parquet"
    frame = polars.DataFrame({"row_id": ["a"], "status": ["ok"], "family": ["checks"], "metric": ["l1"], "n": [3]})
    write_table(path, "metrics", frame.with_columns(polars.lit(0.5).alias("value"), better=None).to_arrow(), {})
    (row,) = read_table(path, "metrics", ["metric", "value", "n", "better"]).to_pylist()
    assert row == {"metric": "l1", "value": 0.5, "n": 3, "better": None}
    with pytest.raises(TableError, match=r"column 'n': must be int64, but is (large_)?string.*, as in row 0: '3'"):
        write_table(path, "metrics", frame.with_columns(n=polars.lit("3")).to_arrow(), {})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"family": "saliencies"}, r"'family', row 0 .*must be classifiers, generators, saliency"),
        ({"better": "more"}, r"'better', row 0 .*must be higher or lower; it is 'more'"),
        ({"definition": "ours"}, r"'definition', row 0 .*must be paper or corrected"),
        ({"value": float("nan")}, r"'value', row 0 .*must not hold NaN"),
    ],
)
def test_metrics_use_the_fixed_words(tmp_path, changes, sentence):
    row = {"row_id": "a", "status": "ok", "family": "checks", "metric": "l1", "value": 1.0, **changes}
    with pytest.raises(TableError, match=sentence):
        write_table(tmp_path / "part.parquet", "metrics", [row], {})


@pytest.mark.parametrize(("table", "column", "precision"), [("codes", "noise", 1e-3), ("saliency", "map", 0)])
def test_arrays_come_back_with_their_shape(table, column, precision):
    array = numpy.random.default_rng(0).standard_normal((3, 4, 5)).astype(numpy.float32)
    packed = pack(table, column, array.transpose(2, 0, 1))
    assert numpy.allclose(unpack(table, column, packed, [5, 3, 4]), array.transpose(2, 0, 1), rtol=precision, atol=0)


def test_an_array_that_does_not_fit_its_shape_is_refused(tmp_path):
    row = {
        **{"row_id": "a", "image_id": "a", "classifier": "cnn", "method": "fido", "status": "ok", "target": 1},
        **{"map": pack("saliency", "map", numpy.zeros((4, 4))), "shape": [4, 4], "network_evaluations": 9},
    }
    write_table(tmp_path / "part.parquet", "saliency", [row], {})
    with pytest.raises(TableError, match=r"column 'map', row 0 .*must hold 4 bytes for each number of its shape"):
        write_table(tmp_path / "part.parquet", "saliency", [{**row, "shape": [4, 5]}], {})


def test_provenance_takes_what_is_the_same_in_every_run_and_nothing_else(tmp_path):
    with pytest.raises(ValueError, match="provenance has no key 'seconds'"):
        write_table(tmp_path / "part.parquet", "images", [], {"seconds": 3})
    with pytest.raises(ValueError, match="did you mean 'images'"):
        write_table(tmp_path / "part.parquet", "image", [], {})
    with pytest.raises(ValueError, match="did you mean 'caption'"):
        list(iterate_table([], "images", ["captions"]))


def test_the_identity_of_a_row_names_its_parts():
    assert row_id("cnn", "image-1", 3) == "cnn/image-1/3"


def test_different_parts_never_give_the_same_identity():
    words = [None, "", "a", "/", "%", "a/", "/a", "%2F", "%25"]
    several = [parts for length in (1, 2, 3) for parts in itertools.product(words, repeat=length)]
    assert len({row_id(*parts) for parts in several}) == len(several)
    assert row_id("a", None, "folder/image.png") == "a//folder%2Fimage.png"


@pytest.mark.parametrize("name", COLUMNS)
def test_every_table_can_be_written_with_failed_rows_and_read(tmp_path, name):
    """A failed row needs its identity and a reason, and nothing that was to be computed."""
    samples = {
        pyarrow.string(): "a",
        pyarrow.int32(): 1,
        pyarrow.float64(): 1.0,
        pyarrow.int64(): 1,
        pyarrow.bool_(): True,
    }
    row = {"status": "failed", "reason": "no face"}
    for column in COLUMNS[name]:
        if column.null == "never" and column.name != "status":
            row[column.name] = column.choices[0] if column.choices else samples.get(column.type, {})
    write_table(tmp_path / "part.parquet", name, [row], {})
    (kept,) = read_table(tmp_path / "part.parquet", name).to_pylist(maps_as_pydicts="strict")
    assert kept == {**dict.fromkeys(SCHEMAS[name].names), **row}
    assert set(LEADING) <= set(SCHEMAS[name].names)
    if any(column.null == "failed" for column in COLUMNS[name]):
        with pytest.raises(TableError, match=r"is missing|unless the row failed"):
            write_table(tmp_path / "part.parquet", name, [{**row, "status": "ok", "reason": None}], {})
