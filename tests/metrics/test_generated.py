"""Generated images beside those that their generator learned from, by cases that can be worked out by hand."""

import numpy as np
import pytest
import torch

from pipeline.metrics.generated import (
    ConceptFigures,
    Neighbours,
    Quality,
    calibrated_shares,
    confusion,
    find_neighbours,
    nearest_images,
    read_concept,
)

HAT = ("absent", "present")


def repeated(*counts):
    """The value 0 so many times, then 1, and so on."""
    return np.repeat(np.arange(len(counts)), counts)


def test_confusion_is_the_share_of_each_true_value_that_is_read_as_each():
    found = confusion(truth=np.array([0, 0, 0, 0, 1, 1]), read=np.array([0, 0, 0, 1, 1, 1]), values=3)
    assert found.tolist() == [[0.75, 0.25, 0], [0, 1, 0], [0, 0, 1]]


def test_a_reader_that_misses_a_quarter_is_corrected_for_it():
    confused = np.array([[1.0, 0.0], [0.25, 0.75]])  # three quarters of the hats are seen
    assert calibrated_shares(repeated(70, 30), confused) == pytest.approx([0.6, 0.4])


def test_calibrated_shares_are_never_below_nothing():
    confused = np.array([[0.9, 0.1], [0.1, 0.9]])
    assert calibrated_shares(repeated(100, 0), confused) == pytest.approx([1.0, 0.0])


def figures(first, second, expected=(0.5, 0.5)):
    truth = repeated(10, 10)
    return read_concept(HAT, {"a": first, "b": second}, {"a": truth, "b": truth}, truth, np.array(expected))


def test_readers_that_differ_on_one_image_of_ten_agree_on_nine_tenths():
    seen = figures(repeated(5, 5), repeated(6, 4))
    assert seen.agreement == 0.9 and not seen.passes
    assert seen.shares["b"] == pytest.approx([0.6, 0.4]) and seen.deviation == pytest.approx(0.1)


@pytest.mark.parametrize(("present", "passes"), [(500, True), (549, True), (551, False), (449, False)])
def test_shares_may_differ_by_five_points(present, passes):
    assert figures(repeated(1000 - present, present), repeated(1000 - present, present)).passes is passes


def test_readers_must_agree_on_nineteen_images_of_twenty():
    read, other = repeated(500, 500), repeated(500, 500)
    other[[0, 999]] = other[[999, 0]]
    assert figures(read, other).passes
    other = read.copy()
    other[:26], other[-26:] = 1, 0
    assert figures(read, other).agreement == 0.948 and not figures(read, other).passes


def test_a_single_reader_agrees_with_nobody():
    seen = read_concept(HAT, {"a": repeated(5, 5)}, {"a": repeated(5, 5)}, repeated(5, 5), np.array([0.5, 0.5]))
    assert seen.agreement is None and seen.passes


def test_a_gate_without_readers_is_neither_passed_nor_not():
    near = Neighbours(np.ones(2), np.ones(2), np.zeros((2, 1), int))
    assert Quality(2, 5, near).passes is None
    bad = ConceptFigures(HAT, np.array([0.5, 0.5]), {"a": np.array([0.4, 0.6])}, 1.0)
    good = ConceptFigures(HAT, np.array([0.5, 0.5]), {"a": np.array([0.5, 0.5])}, 1.0)
    assert Quality(2, 5, near, {"hat": good}).passes and not Quality(2, 5, near, {"hat": good, "tie": bad}).passes


def test_the_nearest_images_are_those_of_the_smallest_mean_square_difference_in_order():
    others = torch.zeros(5, 3, 2, 2, dtype=torch.uint8)
    others[:, 0] = torch.tensor([255, 51, 102, 0, 204], dtype=torch.uint8).view(5, 1, 1)
    distances, index = nearest_images(torch.zeros(1, 3, 2, 2, dtype=torch.uint8), others, 3, at_once=2)
    assert index.tolist() == [[3, 1, 2]]
    assert distances[0] == pytest.approx([0, 0.2 / 3**0.5, 0.4 / 3**0.5], abs=1e-6)


def test_fewer_images_than_neighbours_are_all_of_them():
    assert nearest_images(torch.zeros(2, 4), torch.zeros(1, 4), 3)[1].shape == (2, 1)


def test_copies_are_nearer_than_fresh_images_and_their_originals_are_found():
    generator = torch.Generator().manual_seed(0)
    seen, fresh = torch.rand(50, 8, generator=generator), torch.rand(200, 8, generator=generator)
    copies = find_neighbours(seen[:20] + 1e-3, fresh, seen)
    assert copies.nearer == 1.0 and copies.nearest[:, 0].tolist() == list(range(20))
    own = find_neighbours(torch.rand(200, 8, generator=generator), fresh, seen)
    assert own.nearer < 0.05 and abs(own.median[0] - own.median[1]) < 0.1 * own.median[1]
