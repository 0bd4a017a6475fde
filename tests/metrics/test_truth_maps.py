import numpy as np
import pytest

from pipeline.metrics.truth_maps import (
    at_size,
    part_coverage,
    pointing_game,
    positive_pixels,
    truth_auroc,
    truth_average_precision,
    truth_mass,
)

RANKING = [truth_auroc, truth_average_precision, pointing_game]
METRICS = pytest.mark.parametrize("metric", [truth_mass, *RANKING])
TRUTH = np.array([[[1, 0], [1, 0]]], bool)


def test_positive_pixels_are_the_parts_whose_change_flips_the_decision():
    parts = {"hat": np.array([[1, 1, 0]]), "smile": np.array([[0, 1, 1]]), "hair": np.array([[1, 0, 0]])}
    flips = {"hat": False, "smile": True, "hair": True, "background": True}
    assert positive_pixels(parts, flips).tolist() == [[True, True, True]]
    assert positive_pixels(parts, {"smile": True}).tolist() == [[False, True, True]]
    assert not positive_pixels(parts, {}).any()


def test_mass_is_the_share_of_what_is_above_zero_inside_the_truth():
    assert truth_mass(np.array([[[4.0, 3.0], [2.0, 1.0]]]), TRUTH).values == pytest.approx([0.6])
    signed = np.array([[[4.0, 1.0], [-2.0, -9.0]]])  # what speaks against the decision is no mass, inside or outside
    assert truth_mass(signed, TRUTH).values == pytest.approx([0.8])


def test_mass_of_the_truth_is_one_and_of_a_flat_map_the_share_of_positive_pixels():
    assert truth_mass(TRUTH.astype(float), TRUTH).values == pytest.approx([1])
    assert truth_mass(np.full((1, 1, 4), 0.3), np.array([[[1, 0, 0, 0]]], bool)).values == pytest.approx([0.25])


def test_maps_without_anything_above_zero_have_no_share():
    values, scored = truth_mass(np.stack([np.zeros((2, 2)), -np.ones((2, 2)), np.eye(2)]), np.repeat(TRUTH, 3, 0))
    assert scored.tolist() == [False, False, True] and values == pytest.approx([0, 0, 0.5])


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]]])  # positives 4 and 2, negatives 3 and 1: 3 of 4 pairs are right
    values, scored = truth_auroc(maps, TRUTH)
    assert values == pytest.approx([0.75]) and scored.all()


def test_auroc_of_a_flat_map_is_one_half_and_of_a_perfect_one_is_one():
    assert truth_auroc(np.zeros((1, 2, 2)), TRUTH).values == pytest.approx([0.5])
    assert truth_auroc(TRUTH.astype(float), TRUTH).values == pytest.approx([1])
    assert truth_auroc(-TRUTH.astype(float), TRUTH).values == pytest.approx([0])


def test_average_precision_by_hand():
    maps = np.array([[[4.0, 3.0], [2.0, 1.0]]])  # found first and third: precisions 1/1 and 2/3
    assert truth_average_precision(maps, TRUTH).values == pytest.approx([(1 + 2 / 3) / 2])


def test_average_precision_of_a_flat_map_is_the_share_of_positive_pixels():
    truth = np.array([[[1, 0, 0, 0]]], bool)
    assert truth_average_precision(np.ones((1, 1, 4)), truth).values == pytest.approx([0.25])


@pytest.mark.parametrize(
    ("map", "expected"),
    [([[9, 1], [1, 1]], 1), ([[1, 9], [1, 1]], 0), ([[9, 9], [1, 1]], 0.5), ([[9, 9], [9, 1]], 2 / 3)],
)
def test_the_pointing_game_is_the_share_of_maxima_on_positive_pixels(map, expected):
    assert pointing_game(np.array([map], float), TRUTH).values == pytest.approx([expected])


@METRICS
def test_images_without_a_flip_or_all_positive_are_marked_and_others_are_not(metric):
    truth = np.array([np.zeros((2, 2)), [[1, 0], [0, 0]], np.ones((2, 2))], bool)
    values, scored = metric(np.arange(12.0).reshape(3, 2, 2), truth)
    assert scored.tolist() == [False, True, False]
    assert values.shape == (3,) and np.isfinite(values).all()


@pytest.mark.parametrize("metric", RANKING)
def test_a_coarse_map_is_spread_over_the_mask(metric):
    truth = np.zeros((1, 8, 8), bool)
    truth[:, :4, :4] = True
    assert metric(np.array([[[1.0, 0.0], [0.0, 0.0]]]), truth).values == pytest.approx([1])
    assert metric(np.array([[[0.0, 0.0], [0.0, 1.0]]]), truth).values[0] < 0.5


def test_spreading_is_bilinear():
    assert at_size(np.array([[0.0, 1.0]]), (1, 4)).tolist() == [[0, 0.25, 0.75, 1]]


@METRICS
def test_a_value_never_depends_on_other_images(metric):
    generator = np.random.default_rng(0)
    maps, truth = generator.normal(size=(4, 3, 5)), generator.random((4, 6, 6)) < 0.3
    together = metric(maps, truth).values
    assert [metric(maps[row : row + 1], truth[row : row + 1]).values[0] for row in range(4)] == together.tolist()


def test_coverage_is_the_mean_of_the_scaled_map_over_the_part():
    part = np.array([[[True, True], [False, False]]])
    assert part_coverage(np.array([[[3.0, 2.0], [1.0, 1.0]]]), part).values == pytest.approx([0.75])
    assert part_coverage(np.array([[[30.0, 20.0], [10.0, 10.0]]]), part).values == pytest.approx([0.75])


def test_a_flat_map_covers_nothing_and_a_part_that_is_not_shown_is_not_scored():
    covered = part_coverage(np.ones((2, 2, 2)), np.array([[[True, False], [False, False]], np.zeros((2, 2), bool)]))
    assert covered.values[0] == 0 and covered.scored.tolist() == [True, False]
