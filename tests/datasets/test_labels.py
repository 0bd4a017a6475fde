import pyarrow
import pyarrow.parquet
import pytest

from pipeline.datasets import open_dataset
from pipeline.datasets.labels import encode_labels, read_columns, task_classes
from pipeline.errors import UserError


@pytest.fixture
def photos(tmp_path, save_image):
    for name in ("a", "b", "c"):
        save_image(tmp_path / "photos" / f"{name}.png", colour=name * 3 and (ord(name), 0, 0))
    return tmp_path / "photos"


@pytest.fixture
def labelled(photos):
    """Open the three photos with a label table of these lines."""

    def open_with(*lines, **options):
        (photos / "labels.csv").write_text("\n".join(lines) + "\n")
        options = {"folder": str(photos), "labels": "labels.csv", "shares": {"test": 1}, "size": None, **options}
        return open_dataset(options, "test", 1)

    return open_with


def encode(values, classes=None):
    return encode_labels(values, classes, "the table", [f"line {index + 2}" for index in range(len(values))])


def test_words_are_classes_in_alphabetical_order():
    assert encode(["dog", "cat", None, "dog", ""]) == ([1, 0, None, 1, None], ("cat", "dog"))


def test_whole_numbers_are_classes_in_the_order_of_their_size():
    assert encode(["10", "9", "-1"]) == encode([10, 9, -1]) == ([2, 1, 0], ("-1", "9", "10"))


def test_whole_numbers_written_as_fractions_are_whole_numbers():
    assert encode(["1.0", None, "0.0"]) == encode([1.0, float("nan"), 0.0]) == ([1, None, 0], ("0", "1"))


def test_versions_among_words_stay_words():
    assert encode(["1.0", "beta"])[1] == ("1.0", "beta")


def test_numbers_with_leading_zeros_are_words():
    assert encode(["01", "1"])[1] == ("01", "1")


def test_truth_values_are_classes():
    assert encode([True, False, None]) == ([1, 0, None], ("false", "true"))


def test_whole_numbers_are_indices_of_classes_that_have_other_names():
    assert encode(["1", "0"], ["cat", "dog"]) == ([1, 0], ("cat", "dog"))


def test_whole_numbers_are_names_where_classes_have_them():
    assert encode([7, 3], [7, 3, 5]) == ([0, 1], ("7", "3", "5"))


@pytest.mark.parametrize(
    ("values", "classes", "sentence"),
    [
        (
            ["cat", "dgo"],
            ["cat", "dog"],
            r'label "dgo" in line 3, which is no class \(did you mean "dog"\?\); correct it',
        ),
        (["0", "2"], ["cat", "dog"], r'label "2" in line 3, which is no class.*dataset.classes: \[cat, dog\]'),
        (["-1", "0"], ["cat", "dog"], r'label "-1" in line 2'),
        (["1", "0"], ["1", "2"], r'label "0" in line 3'),
        ([0.5], None, "label 0.5 in line 2; a label is a word or a whole number"),
        ([[1, 2]], None, r"label \[1, 2\] in line 2; a label is a word or a whole number"),
        (["cat"], ["cat", "cat"], 'dataset.classes names "cat" twice'),
    ],
)
def test_a_label_that_is_no_class_is_named_with_its_place(values, classes, sentence):
    with pytest.raises(UserError, match=sentence):
        encode(values, classes)


def test_classes_of_several_tasks_are_given_by_task():
    assert task_classes({"smile": ["no", "yes"]}, ["smile", "hat"]) == {"smile": ["no", "yes"], "hat": None}
    assert task_classes([], ["smile", "hat"]) == task_classes({}, ["smile", "hat"]) == {"smile": None, "hat": None}
    with pytest.raises(UserError, match="one list, but there are the tasks smile, hat; write one list per task"):
        task_classes(["no", "yes"], ["smile", "hat"])
    with pytest.raises(UserError, match='names a task "smle", but the tasks are smile'):
        task_classes({"smle": ["no", "yes"]}, ["smile"])


def test_every_label_column_is_a_task(labelled):
    rows = ["a.png,yes,3,a face", "b.png,no,,b", "c.png,yes,1,"]
    source = labelled("file,smile,hats,text", *rows, label_columns=["smile", "hats"], caption_column="text")
    assert source.tasks == {"smile": ("no", "yes"), "hats": ("1", "3")}
    assert source.labels("b.png") == {"smile": 0, "hats": None}
    assert source.read("a.png").caption == "a face" and source.read("c.png").caption is None


def test_a_mapping_renames_the_columns_to_tasks(labelled):
    source = labelled("file,Smiling", "a.png,1", "b.png,-1", "c.png,1", label_columns={"smile": "Smiling"})
    assert source.tasks == {"smile": ("-1", "1")} and source.labels("b.png") == {"smile": 0}


def test_parquet_and_csv_with_equal_labels_are_the_same_dataset(photos, labelled):
    source = labelled("file,label", "a.png,1", "b.png,0", "c.png,")
    columns = {"file": ["./a.png", "b.png", "c.png"], "label": [1, 0, None], "pixels": [b"1", b"2", b"3"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), photos / "labels.parquet")
    other = labelled("file,label", labels=str(photos / "labels.parquet"))
    assert list(source.ids) == list(other.ids) and source.tasks == other.tasks
    assert [source.labels(name) for name in source.ids] == [other.labels(name) for name in other.ids]


def test_a_table_program_may_add_a_byte_order_mark_quotes_and_tabs(photos, labelled):
    (photos / "labels.tsv").write_bytes('\ufefffile\tlabel\r\na.png\t"x, y"\r\nb.png\tz\r\n\r\nc.png\tz\r\n'.encode())
    assert labelled("", labels="labels.tsv").tasks == {"label": ("x, y", "z")}


def test_images_that_the_table_leaves_out_are_an_error_or_ignored(labelled):
    with pytest.raises(
        UserError, match=r"no row for 2 of the 3 images in .*photos, for example b.png; add them, or set"
    ):
        labelled("file,label", "a.png,x")
    assert list(labelled("file,label", "a.png,x", unlisted="ignore").ids) == ["a.png"]


@pytest.mark.parametrize(
    ("lines", "options", "sentence"),
    [
        (["file,label", "a.png,x", "d.png,x"], {}, r"labels.csv, line 3: the image .*d.png does not exist; correct or"),
        (["file,label", "a.png,x", "./a.png,y"], {}, "names a.png twice, in line 2 and line 3; remove one"),
        (["file,label", ",x"], {}, r'labels.csv, line 2: "" is no file in .*; write the path below that folder'),
        (["file,label", "../a.png,x"], {}, r'line 2: "../a.png" is no file in'),
        (["file,label", "/a.png,x"], {}, r'line 2: "/a.png" is no file in'),
        (["name,label", "a.png,x"], {}, 'no column "file"; set dataset.image_column to one of name, label'),
        (
            ["file,labels", "a.png,x"],
            {"unlisted": "ignore"},
            r'no column "label" \(did you mean "labels"\?\); set dataset',
        ),
        (["file,label"], {}, "has no rows; give it one row per image"),
        (["file,label", "a.png,x,y"], {}, 'line 2, has 3 cells, but there are 2 columns; put cells that hold ","'),
        (["file,file", "a.png,x"], {}, 'has two columns named "file"; rename one'),
        (["file,label", 'a.png,"x'], {}, "is no valid csv file in UTF-8"),
        (["file,label", "a.png,x"], {"labels": "lables.csv"}, "lables.csv does not exist; give the path of a .csv"),
        (
            ["file,label", "a.png,x"],
            {"labels": "a.png"},
            r"is no label file: .* must end in .csv, .tsv or .parquet, not",
        ),
    ],
)
def test_a_wrong_table_is_one_sentence(labelled, lines, options, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        labelled(*lines, **options)
    assert "\n" not in str(error.value)


def test_a_row_without_a_split_is_named(labelled):
    with pytest.raises(UserError, match="line 3, names no split in the column part; fill it in"):
        labelled("file,label,part", "a.png,x,test", "b.png,x,", "c.png,x,test", split_column="part")


@pytest.mark.parametrize(
    ("cells", "sentence"),
    [
        ("5,1,5,3", "line 2: the box 5, 1, 5, 3 is empty; x1 must be larger than x0"),
        ("1,1,,3", 'line 2: "" is no coordinate'),
        ("1,1,nan,3", 'line 2: "nan" is no coordinate of a box; write four numbers of pixels'),
        ("0,0,0.5,1", "are shares of the image, from 0 to 1; give them in pixels"),
    ],
)
def test_a_wrong_box_is_named_with_its_place(labelled, cells, sentence):
    with pytest.raises(UserError, match=sentence):
        labelled("file,label,x0,y0,x1,y1", f"a.png,x,{cells}", "b.png,x,,,,", "c.png,x,,,,")


def test_a_damaged_parquet_file_is_one_sentence(tmp_path):
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match="is no valid Parquet file"):
        read_columns(tmp_path / "labels.parquet")
