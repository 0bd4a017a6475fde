import pytest

from pipeline.errors import RowFailure, nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [("portrait", "portraits"), ("Shapes", "shapes"), ("grad_cam", "grad-cam"), ("quantum", None), ("", None)],
)
def test_the_nearest_word_is_the_one_that_was_meant_or_none(word, expected):
    assert nearest(word, {"portraits", "shapes", "grad-cam"}) == expected


def test_nearest_does_not_depend_on_the_order_of_the_valid_words():
    assert nearest("dvc", ["dvce", "dvcf"]) == nearest("dvc", ["dvcf", "dvce"])


def test_a_row_failure_says_which_rows_and_why():
    assert str(RowFailure({2: "no face", 5: "too dark"})) == (
        "row 2 of the batch: no face; row 5 of the batch: too dark"
    )
