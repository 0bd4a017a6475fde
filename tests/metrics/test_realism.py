import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from pipeline.errors import UserError
from pipeline.metrics.realism import (
    discrepancy,
    frechet_distance,
    kernel_distance,
    kernel_estimate,
    split_frechet_distance,
    wrapped_bytes,
)

GENERATOR = np.random.default_rng(7)
MIXING = GENERATOR.normal(size=(6, 6))
FIRST = GENERATOR.normal(size=(80, 6))
SECOND = GENERATOR.normal(size=(50, 6)) @ MIXING + 0.5


def by_matrix_root(first, second):
    """The definition, word for word."""
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    shift = np.square(first.mean(0) - second.mean(0)).sum()
    return shift + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_frechet_distance_is_that_of_its_definition():
    assert frechet_distance(FIRST, SECOND) == pytest.approx(by_matrix_root(FIRST, SECOND), rel=1e-9)
    assert frechet_distance(SECOND, FIRST) == pytest.approx(frechet_distance(FIRST, SECOND))


def test_fewer_images_than_dimensions_are_no_trouble():
    wide = GENERATOR.normal(size=(10, 200)), GENERATOR.normal(size=(7, 200)) + 1
    assert frechet_distance(*wide) == pytest.approx(by_matrix_root(*wide), rel=1e-4)  # the root is the inexact one


@pytest.mark.parametrize(
    "features", [FIRST, 1e4 + FIRST, GENERATOR.normal(size=(9, 300)), np.repeat(FIRST[:, :1], 4, 1)]
)
def test_a_set_is_at_no_distance_from_itself(features):
    assert frechet_distance(features, features) == pytest.approx(0, abs=1e-9 * np.square(features).sum())


def test_moved_features_are_at_the_square_of_the_move():
    assert frechet_distance(FIRST, FIRST + np.array([3, 0, 0, 4, 0, 0])) == pytest.approx(25)


def test_scaled_features_are_at_the_difference_of_the_deviations():
    one = np.array([[-1.0], [1.0]])  # deviation root of 2
    assert frechet_distance(one, 3 * one) == pytest.approx(2 * (3 - 1) ** 2)


def test_the_split_distance_compares_no_image_with_its_own_counterfactual():
    apart = np.arange(4.0)[:, None] * 100
    first, second = [0, 3], [1, 2]
    crossed = (frechet_distance(apart[first], apart[second]) + frechet_distance(apart[second], apart[first])) / 2
    possible = {crossed}
    for other in ([0, 1], [0, 2]):
        rest = [row for row in range(4) if row not in other]
        possible.add((frechet_distance(apart[other], apart[rest]) + frechet_distance(apart[rest], apart[other])) / 2)
    found = {split_frechet_distance(apart, apart, seed=seed) for seed in range(20)}
    assert {round(each) for each in found} == {round(each) for each in possible}
    assert split_frechet_distance(apart, apart, seed=3) == split_frechet_distance(apart, apart, seed=3)


def test_the_kernel_distance_is_unbiased_around_zero_and_sees_a_move():
    same = [kernel_distance(*np.random.default_rng(seed).normal(size=(2, 30, 4)), seed=0).value for seed in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200) and min(same) < 0
    assert kernel_distance(FIRST, FIRST + 2, seed=0).value > 5


def test_the_kernel_distance_by_hand():
    found = kernel_distance(np.array([[1.0], [2.0]]), np.array([[0.0], [1.0]]), seed=0)
    assert found.value == pytest.approx(3**3 + 1 - (1 + 2**3 + 1 + 3**3) / 2)
    assert (found.low, found.high, found.subset_size, found.subsets) == (None, None, 2, 1)


def test_subsets_are_drawn_by_the_seed_and_give_a_range():
    found = kernel_distance(FIRST, SECOND, seed=1, subset_size=20)
    assert found.low < found.value < found.high and (found.subset_size, found.subsets) == (20, 100)
    assert found == kernel_distance(FIRST, SECOND, seed=1, subset_size=20)
    assert found != kernel_distance(FIRST, SECOND, seed=2, subset_size=20)
    assert found.value == pytest.approx(kernel_distance(FIRST[:50], SECOND, seed=1).value, rel=0.2)


def test_too_few_images_are_an_error_with_a_valid_number():
    with pytest.raises(UserError, match="2 images or more"):
        frechet_distance(FIRST[:1], SECOND)
    with pytest.raises(UserError, match="use 2 to 50"):
        kernel_distance(FIRST, SECOND, seed=0, subset_size=60)


def test_published_bytes_wrap_around():
    images = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])  # -1, -0.5, 0, 0.5 and 1
    assert (wrapped_bytes(images) * 255).tolist() == pytest.approx([1, 129, 0, 127, 255])


def test_the_estimate_over_all_pairs_is_the_discrepancy_of_the_whole_sets():
    value, low, high = kernel_estimate(FIRST, SECOND, paired=False)
    assert value == pytest.approx(discrepancy(FIRST, SECOND)) and low < value < high


@pytest.mark.parametrize("paired", [True, False])
def test_the_jackknife_leaves_out_one_image_at_a_time(paired):
    first, second = FIRST[:9], SECOND[:9]
    without = [
        discrepancy(np.delete(first, row, 0), np.delete(second, row, 0) if paired else second) for row in range(9)
    ]
    variances = [8 / 9 * np.square(np.array(without) - np.mean(without)).sum()]
    if not paired:
        without = [discrepancy(first, np.delete(second, row, 0)) for row in range(9)]
        variances.append(8 / 9 * np.square(np.array(without) - np.mean(without)).sum())
    value, low, high = kernel_estimate(first, second, paired=paired, confidence=0.95)
    assert [value - low, high - value] == pytest.approx([1.959964 * np.sqrt(sum(variances))] * 2)


def test_intervals_of_the_kernel_distance_hold_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(5)
    mixing = generator.normal(size=(32, 32)) / np.sqrt(32)

    def draw(images, shift):
        """Features as a network gives them: mixed and cut at 0."""
        return np.maximum(generator.normal(size=(images, 32)) @ mixing + shift, 0)

    truth, held = discrepancy(draw(3000, 0), draw(3000, 0.3)), 0
    for _ in range(200):
        _, low, high = kernel_estimate(draw(60, 0), draw(40, 0.3), paired=False)
        held += low <= truth <= high
    assert 0.9 < held / 200 < 0.99


def test_two_images_have_a_discrepancy_and_no_interval():
    assert kernel_estimate(FIRST[:2], SECOND, paired=False)[1:] == (None, None)
