import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.splits import DEFAULT_SHARES, SPLITS, check_shares, check_split, own_split, split_of
from pipeline.errors import UserError

weights = st.lists(st.integers(0, 100), min_size=3, max_size=3).filter(any)
shares = weights.map(lambda parts: {name: part / sum(parts) for name, part in zip(SPLITS, parts, strict=True)})
contents = st.text(min_size=1, max_size=8)


@given(contents, shares)
def test_an_image_lies_in_exactly_one_split_and_never_in_one_without_a_share(content, shares):
    split = split_of(content, shares)
    assert split in SPLITS and shares[split] > 0
    assert split_of(content, dict(reversed(shares.items()))) == split


@given(contents, shares, st.floats(0, 1))
def test_a_larger_train_share_takes_no_image_away_from_train(content, shares, factor):
    rest = 1 - shares["train"]
    larger = shares["train"] + factor * rest
    scale = (1 - larger) / rest if rest else 0
    grown = {"train": larger, "search": shares["search"] * scale, "test": shares["test"] * scale}
    assert split_of(content, shares) != "train" or split_of(content, grown) == "train"


def test_many_images_divide_in_the_proportions_of_the_shares():
    splits = [split_of(str(number), DEFAULT_SHARES) for number in range(4000)]
    assert [splits.count(name) / 4000 for name in SPLITS] == pytest.approx([0.7, 0.1, 0.2], abs=0.025)


def test_splits_stay_what_they_were_when_this_was_written():
    recorded = "search train train train test train train train"
    assert [split_of(letter * 64, DEFAULT_SHARES) for letter in "abcdefgh"] == recorded.split()


def test_shares_that_are_left_out_are_zero():
    assert check_shares({"test": 1}) == {"train": 0, "search": 0, "test": 1}


@pytest.mark.parametrize(
    ("shares", "sentence"),
    [
        ({"train": 0.7, "test": 0.2}, "sum to 0.9; they must sum to 1"),
        ({"train": 1.5, "test": -0.5}, "gives 1.5 to the split train; shares lie from 0 to 1"),
        ({"tset": 1.0}, r'names a split "tset" \(did you mean "test"\?\)'),
        ({}, "sum to 0; they must sum to 1"),
    ],
)
def test_wrong_shares_are_named(shares, sentence):
    with pytest.raises(UserError, match=sentence):
        check_shares(shares)


def test_an_unknown_split_is_named():
    with pytest.raises(UserError, match=r'no split "trian" \(did you mean "train"\?\); dataset.split is train'):
        check_split("trian")


def test_a_dataset_with_one_split_serves_all_of_ours_by_shares():
    assert own_split("search", ["train"], None, DEFAULT_SHARES, "x") == ("train", pytest.approx(DEFAULT_SHARES))


def test_equal_names_match_and_search_takes_the_validation_split():
    own = ["train", "validation", "test"]
    found = [own_split(split, own, None, DEFAULT_SHARES, "x") for split in SPLITS]
    assert found == [("train", {"train": 1}), ("validation", {"search": 1}), ("test", {"test": 1})]


def test_without_a_validation_split_train_and_search_divide_theirs():
    name, shares = own_split("train", ["train", "test"], {}, DEFAULT_SHARES, "x")
    assert name == "train" and shares == pytest.approx({"train": 0.875, "search": 0.125})


def test_a_mapping_overrides_the_names():
    mapping = {"train": "0", "search": "1", "test": "2"}
    assert own_split("search", ["0", "1", "2"], mapping, DEFAULT_SHARES, "x") == ("1", {"search": 1})


@pytest.mark.parametrize(
    ("split", "own", "mapping", "sentence"),
    [
        ("test", ["fold1", "fold2"], None, "x has the splits fold1, fold2, none of which is known to be test"),
        ("test", ["train", "holdout"], {"test": "holdut"}, r'no split "holdut" \(did you mean "holdout"\?\)'),
        ("test", ["train"], {"tests": "train"}, r'no split "tests" \(did you mean "test"\?\)'),
    ],
)
def test_a_split_that_the_dataset_does_not_have_is_named(split, own, mapping, sentence):
    with pytest.raises(UserError, match=sentence):
        own_split(split, own, mapping, DEFAULT_SHARES, "x")


def test_splits_that_share_one_but_have_no_share_are_refused():
    with pytest.raises(UserError, match="gives 0 to train and search"):
        own_split("search", ["train", "test"], None, {"train": 0, "search": 0, "test": 1}, "x")
