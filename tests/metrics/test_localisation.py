import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.metrics.localisation import (
    GRIDS,
    fixed_boxes,
    largest,
    localisation_error,
    overlaps,
    salient_boxes,
    survivors,
    tight_box,
    tight_boxes,
    tuned_alpha,
    tuned_boxes,
)

RAMP = np.array([[0.0, 1.0, 2.0, 3.0, 4.0]])


@pytest.mark.parametrize(
    ("rule", "alpha", "kept"),
    [
        ("value", 0.5, [0, 0, 1, 1, 1]),  # from 0 to 4: at least 2
        ("value", 0.0, [1, 1, 1, 1, 1]),
        ("mean", 1.0, [0, 0, 1, 1, 1]),  # the mean is 2
        ("mean", 1.5, [0, 0, 0, 1, 1]),
        ("mean", 10.0, [0, 0, 0, 0, 0]),
        ("energy", 0.0, [0, 0, 0, 0, 1]),
        ("energy", 0.4, [0, 0, 0, 0, 1]),  # 4 of 10
        ("energy", 0.5, [0, 0, 0, 1, 1]),  # 4 + 3 of 10
        ("energy", 0.95, [0, 1, 1, 1, 1]),
    ],
)
def test_a_threshold_rule_keeps_what_one_finds_by_hand(rule, alpha, kept):
    assert survivors(RAMP, rule, alpha).astype(int).tolist() == [kept]


@pytest.mark.parametrize(("alpha", "kept"), [(0.4, [0, 0, 0, 0, 0]), (0.5, [0, 0, 0, 0, 1]), (0.95, [0, 0, 1, 1, 1])])
def test_the_published_energy_leaves_out_the_value_that_reaches_the_share(alpha, kept):
    assert survivors(RAMP, "energy", alpha, "paper").astype(int).tolist() == [kept]


def test_the_published_box_is_that_of_a_map_cut_on_its_own_grid():
    """Spread over pixels a cell of 4 falls as 7/8, 5/8, 3/8, 1/8 from its middle on: 2 pixels beyond its own 4."""
    maps = np.zeros((1, 3, 3))
    maps[0, 1, 1] = 1
    ours, theirs = (
        salient_boxes(maps, (12, 12), rule="value", alpha=0.6, definition=definition)
        for definition in ("corrected", "paper")
    )
    assert ours.tolist() == [[4, 4, 8, 8]] and theirs.tolist() == [[2, 2, 10, 10]]


def test_zeros_have_no_part_in_the_published_box():
    """At alpha 0 all survive, but only what is above 0 makes the box."""
    maps = np.zeros((1, 4, 4))
    maps[0, 1:3, 1:3] = 1
    ours, theirs = (
        salient_boxes(maps, (4, 4), rule="value", alpha=0, definition=definition)
        for definition in ("corrected", "paper")
    )
    assert ours.tolist() == [[0, 0, 4, 4]] and theirs.tolist() == [[1, 1, 3, 3]]


def test_value_counts_from_the_lowest_pixel():
    assert survivors(RAMP + 10, "value", 0.5).astype(int).tolist() == [[0, 0, 1, 1, 1]]


def test_equal_pixels_survive_together():
    assert survivors(np.array([[1.0, 1, 1, 5]]), "energy", 0.7).astype(int).tolist() == [[1, 1, 1, 1]]


def test_the_published_grids_are_searched():
    assert GRIDS["mean"].tolist() == [half / 2 for half in range(21)]
    assert GRIDS["value"] == pytest.approx([twentieth / 20 for twentieth in range(20)])
    assert GRIDS["energy"].tolist() == GRIDS["value"].tolist()


def test_a_tight_box_holds_the_kept_pixels_and_ends_outside():
    kept = np.zeros((6, 8), bool)
    kept[2:4, 3] = True
    assert tight_box(kept).tolist() == [3, 2, 4, 4]


def test_if_nothing_survives_the_box_is_the_whole_image():
    assert tight_box(np.zeros((6, 8), bool)).tolist() == [0, 0, 8, 6]
    assert salient_boxes(RAMP[None], (1, 5), rule="mean", alpha=10).tolist() == [[0, 0, 5, 1]]
    assert salient_boxes(np.zeros((1, 4, 4)), (6, 8), rule="mean", alpha=1).tolist() == [[0, 0, 8, 6]]


def test_the_largest_of_the_connected_regions():
    kept = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 1]], bool)  # corners do not touch
    assert largest(kept).astype(int).tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0]]
    assert not largest(np.zeros((2, 2), bool)).any()


def test_a_speck_far_away_widens_the_box_unless_only_the_largest_region_counts():
    maps = np.zeros((1, 8, 8))
    maps[0, 1:4, 1:4] = 1
    maps[0, 7, 7] = 1
    assert salient_boxes(maps, (8, 8), rule="mean", alpha=1).tolist() == [[1, 1, 8, 8]]
    assert salient_boxes(maps, (8, 8), rule="mean", alpha=1, largest_component=True).tolist() == [[1, 1, 4, 4]]


def test_what_speaks_against_the_class_counts_as_nothing():
    maps = np.array([[[-9.0, 0, 1, 1]]])
    assert salient_boxes(maps, (1, 4), rule="mean", alpha=1).tolist() == [[2, 0, 4, 1]]


def test_a_coarse_map_is_brought_to_the_image():
    maps = np.array([[[1.0, 0.0], [0.0, 0.0]]])
    assert salient_boxes(maps, (8, 8), rule="value", alpha=0.95).tolist() == [[0, 0, 2, 2]]


def test_overlap_is_intersection_over_union():
    others = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [0, 0, 4, 2]])
    assert overlaps(np.array([0, 0, 4, 4]), others) == pytest.approx([1, 8 / 24, 0, 0.5])


def test_a_box_equal_to_the_truth_is_right_and_an_overlap_of_one_half_is_an_error():
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 4, 4]])
    truth = [np.array([[0, 0, 4, 4]]), np.array([[0, 0, 4, 2]]), np.array([[0.0, 0, 4, 2.1]])]
    values, scored = localisation_error(boxes, truth)
    assert values.tolist() == [0, 1, 0] and scored.all()


def test_any_of_several_true_boxes_will_do():
    values, _ = localisation_error(np.array([[0, 0, 4, 4]]), [np.array([[9, 9, 12, 12], [0, 0, 4, 4]])])
    assert values.tolist() == [0]


def test_an_image_without_a_box_is_not_scored():
    values, scored = localisation_error(np.array([[0, 0, 4, 4], [0, 0, 1, 1]]), [np.zeros((0, 4)), [[0, 0, 1, 1]]])
    assert scored.tolist() == [False, True] and values.tolist() == [0, 0]


def test_alpha_is_the_smallest_with_the_fewest_errors_on_held_out_images():
    maps = np.zeros((2, 8, 8))
    maps[:, :, :] = 0.3
    maps[:, 2:6, 2:6] = 1
    alpha = tuned_alpha(maps, [np.array([[2, 2, 6, 6]])] * 2, (8, 8), rule="value")
    assert alpha == pytest.approx(0.05)  # at 0 all survive; from there on the square alone
    assert tuned_alpha(maps, [np.array([[0, 0, 8, 8]])] * 2, (8, 8), rule="value") == 0


def test_a_rule_that_there_is_not_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="use energy"):
        salient_boxes(np.ones((1, 2, 2)), (2, 2), rule="energie", alpha=0.5)
    with pytest.raises(UserError, match="there is no definition 'ours'; use corrected or paper"):
        salient_boxes(np.ones((1, 2, 2)), (2, 2), rule="mean", alpha=0.5, definition="ours")
    with pytest.raises(UserError, match="none of the held-out images has a box"):
        tuned_alpha(np.ones((1, 2, 2)), [np.zeros((0, 4))], (2, 2), rule="mean")


def test_a_tuned_threshold_is_chosen_on_the_other_half_of_the_images():
    peak = np.zeros((12, 12))
    peak[2:5, 2:5] = 1.0
    peak[2, 5:11] = 0.6  # a faint arm that the fixed threshold takes in
    boxes = [np.array([[2, 2, 5, 5]])] * 4
    tuned = tuned_boxes(np.stack([peak] * 4), boxes, (12, 12))
    fixed = fixed_boxes(np.stack([peak] * 4), (12, 12))
    assert (localisation_error(tuned, boxes).values == 0).all()
    assert (localisation_error(fixed, boxes).values == 1).all()


def test_each_connected_region_of_a_mask_has_a_tight_box():
    mask = np.zeros((4, 6), bool)
    mask[0:2, 1:3] = mask[3, 4:6] = True
    assert tight_boxes(mask).tolist() == [[1, 0, 3, 2], [4, 3, 6, 4]]
    assert tight_boxes(np.zeros((4, 6), bool)).shape == (0, 4)
