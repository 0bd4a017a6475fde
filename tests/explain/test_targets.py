"""Targets by hand, from three images of three classes."""

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.pairs import targets_by_class
from pipeline.explain.targets import most_confused, next_class, second_best

LOGITS = torch.tensor([[3.0, 2.0, 1.0], [3.0, 0.0, 2.9], [0.0, 5.0, 1.0]])
EXPLAINED = torch.tensor([0, 0, 1])
CLASSES = ("cat", "dog", "fox")


def test_the_next_class_is_the_one_after_and_the_first_after_the_last():
    assert next_class(torch.tensor([0, 1, 2]), LOGITS).tolist() == [1, 2, 0]


def test_the_second_best_class_is_the_likeliest_but_the_one_that_is_explained():
    assert second_best(EXPLAINED, LOGITS).tolist() == [1, 2, 2]
    assert second_best(torch.tensor([1, 2, 0]), LOGITS).tolist() == [0, 0, 1]  # explained by the label


def test_the_most_confused_class_is_the_likeliest_over_all_images_of_a_class():
    # Of class 0, the second image says 2 more surely than the first says 1.
    shares = LOGITS[:2].softmax(1).mean(0)
    assert shares[2] > shares[1]
    assert most_confused(EXPLAINED, LOGITS).tolist() == [2, 2, 2]
    assert most_confused(EXPLAINED[[0, 2]], LOGITS[[0, 2]]).tolist() == [1, 2]


def test_pairs_are_names_or_numbers_of_classes_and_none_with_itself():
    pairs = {"cat": ["dog", "fox", "dog"], "1": ["1", "0"]}
    assert targets_by_class(pairs, CLASSES, "here") == {0: (1, 2), 1: (0,)}
    assert targets_by_class(pairs, CLASSES, "here", to_itself=True) == {0: (1, 2), 1: (1, 0)}
    assert targets_by_class({"*": ["dog"]}, CLASSES, "here") == {0: (1,), 1: (), 2: (1,)}
    assert targets_by_class({"cat": ["1"]}, ("cat", "dog", "1"), "here") == {0: (2,)}  # a name comes first


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ({"cat": ["dgo"]}, "here: 'dgo' is none of the 3 classes; did you mean 'dog'?"),
        ({"3": ["dog"]}, "here: '3' is none of the 3 classes; there are cat, dog, fox."),
    ],
)
def test_a_target_that_is_no_class_is_answered_with_the_nearest(pairs, sentence):
    with pytest.raises(UserError) as caught:
        targets_by_class(pairs, CLASSES, "here")
    assert str(caught.value) == sentence
