"""How far concepts move along a direction, by hand."""

import numpy as np
import pytest

from pipeline.metrics.concept_effects import concept_effects, effect_correlation, log_odds


def test_log_odds_are_those_of_each_value_against_all_others():
    logits = np.log([[0.2, 0.3, 0.5]])
    assert log_odds(logits)[0] == pytest.approx(np.log([0.2 / 0.8, 0.3 / 0.7, 0.5 / 0.5]))


def test_a_move_is_counted_in_deviations_along_the_direction_and_the_other_way_where_images_were_led_back():
    before = np.array([[0.0, 1.0], [0.0, -1.0]])
    after = np.array([[0.0, 4.0], [0.0, -7.0]])
    everywhere = np.array([[0.0, -2.0], [0.0, 0.0], [0.0, 2.0]])  # of deviation 2
    assert concept_effects(before, after, np.array([1, -1]), everywhere).tolist() == pytest.approx([1.5, 3.0])


def test_of_more_values_the_one_that_moves_furthest_counts():
    everywhere = 3 * np.eye(3)
    before, after = np.zeros((2, 3)), np.tile([0.0, 0.0, -5.0], (2, 1))
    moved = concept_effects(before, after, np.ones(2), everywhere)
    expected = (log_odds(after) - log_odds(before))[:, 2] / log_odds(everywhere)[:, 2].std(ddof=1)
    assert moved == pytest.approx(expected) and (moved < 0).all()


def test_what_never_varies_is_no_division_by_zero():
    same = np.zeros((2, 2))
    assert concept_effects(same, same + np.array([0, 1]), np.ones(2), same).tolist() == [1, 1]


def test_moves_agree_with_the_truth_whatever_their_sign():
    assert effect_correlation(np.array([0.0, -1.0, 2.0]), np.array([0.1, 0.2, 0.3])) == pytest.approx(1)
    assert effect_correlation(np.array([2.0, 1.0, 0.0]), np.array([0.1, 0.2, 0.3])) == pytest.approx(-1)
    assert np.isnan(effect_correlation(np.array([1.0, 2.0]), np.array([0.1, 0.2])))
    assert np.isnan(effect_correlation(np.ones(3), np.array([0.1, 0.2, 0.3])))
