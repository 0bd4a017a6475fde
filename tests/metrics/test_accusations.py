"""What explanations say of concepts, by cases that can be checked by hand."""

import numpy as np
import pytest

from pipeline.metrics.accusations import (
    accusation_auroc,
    accusing_threshold,
    concept_change,
    label_association,
    part_density,
)


def test_density_counts_doublings_over_chance():
    part = np.zeros((1, 4, 4), bool)
    part[0, :2, :2] = True  # a quarter of the area
    everywhere, inside, half = np.ones((1, 4, 4)), part.astype(float), np.where(part, 1.0, 0.0)
    half[0, 3, 3] = 4  # as much outside as inside
    assert part_density(everywhere, part).values == pytest.approx([0])
    assert part_density(inside, part).values == pytest.approx([2])
    assert part_density(half, part).values == pytest.approx([1])


def test_density_of_a_map_without_mass_in_the_part_is_lowest_and_evidence_against_is_no_mass():
    part = np.zeros((1, 4, 4), bool)
    part[0, 0] = True
    assert part_density(np.where(part, -5.0, 1.0), part).values == pytest.approx([-10])


def test_density_scores_no_hidden_part_no_blank_map_and_no_part_that_is_everything():
    maps = np.stack([np.ones((4, 4)), np.zeros((4, 4)), np.ones((4, 4))])
    parts = np.stack([np.zeros((4, 4), bool), np.eye(4, dtype=bool), np.ones((4, 4), bool)])
    assert not part_density(maps, parts).scored.any()


def test_change_of_a_concept_is_half_the_distance_of_the_probabilities():
    sure, unsure = np.log([[0.9, 0.1]]), np.log([[0.4, 0.6]])
    assert concept_change(sure, unsure).values == pytest.approx([0.5])
    assert concept_change(sure, sure).values == pytest.approx([0])
    assert not concept_change(sure, np.full((1, 2), np.nan)).scored.any()


def test_association_is_1_for_the_label_itself_and_0_without_any():
    assert label_association([0, 1, 0, 1], [1, 0, 1, 0]) == pytest.approx(1)
    assert label_association([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0)
    assert label_association([1, 1, 1, 1], [0, 1, 0, 1]) == 0


def test_auroc_counts_pairs_and_passes_over_what_nothing_is_said_of():
    scores, flips = np.array([[3.0, 1.0], [2.0, np.nan]]), np.array([[True, False], [False, True]])
    assert accusation_auroc(scores, flips) == 1
    assert accusation_auroc(np.array([1.0, 1.0, 2.0]), np.array([True, False, False])) == pytest.approx(0.25)
    assert np.isnan(accusation_auroc(np.ones(3), np.ones(3, bool)))


def test_threshold_lies_where_it_separates_best():
    scores, flips = np.array([0.1, 0.2, 0.8, 0.9, 0.3]), np.array([False, False, True, True, False])
    assert accusing_threshold(scores, flips) == pytest.approx(0.55)
    assert np.isnan(accusing_threshold(scores, np.zeros(5, bool)))
