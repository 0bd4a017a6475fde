import numpy as np
import pytest

from pipeline.datasets import open_dataset
from pipeline.datasets.sampling import sample
from pipeline.datasets.splits import SPLITS
from pipeline.errors import UserError


@pytest.fixture(scope="module")
def splits():
    return {split: open_dataset({"digits": "scikit-learn"}, split, 1) for split in SPLITS}


def test_every_digit_lies_in_one_split(splits):
    ids = [list(source.ids) for source in splits.values()]
    assert sum(map(len, ids)) == len(set().union(*ids)) == 1797
    assert [len(found) / 1797 for found in ids] == pytest.approx([0.7, 0.1, 0.2], abs=0.03)


def test_a_digit_is_the_scan_of_scikit_learn(splits):
    from sklearn.datasets import load_digits

    source = open_dataset({"digits": "scikit-learn", "size": 8, "shares": {"test": 1}}, "test", 1)
    image = source.read("digits-0003")
    assert image.image.dtype == np.uint8 and image.image.shape == (8, 8, 3)
    assert np.abs(image.image / 255 - load_digits().images[3][:, :, None] / 16).max() <= 0.5 / 255 + 1e-9
    assert image.attributes == source.labels("digits-0003") == {"digit": 3}
    assert image.caption == "a handwritten 3"


@pytest.mark.parametrize("size", [8, 16, 17, 33])
def test_a_digit_has_the_size_asked_for_and_three_equal_channels(size):
    source = open_dataset({"digits": "scikit-learn", "size": size}, "test", 1)
    image = source.read(next(iter(source.ids))).image
    assert image.shape == (size, size, 3)
    assert (image == image[:, :, :1]).all() and image.max() > 200 and image.min() == 0


def test_classes_are_balanced(splits):
    chosen = sample(splits["search"], 20, per_class="digit")
    assert sorted(image.attributes["digit"] for image in chosen) == sorted([*range(10)] * 2)


def test_the_names_of_the_classes_are_the_digits(splits):
    assert splits["test"].tasks == {"digit": tuple("0123456789")}


def test_there_are_no_other_digits():
    with pytest.raises(UserError, match=r'dataset.digits is "mnist"; the only digits there are is scikit-learn'):
        open_dataset({"digits": "mnist"}, "test", 1)
