import numpy as np
import pytest

from pipeline.metrics.truth_concepts import (
    changed_concepts,
    changes_any,
    kinds_of_flips,
    side_effects,
    truth_precision,
    truth_recall,
)

#                 smile hat hair
FLIPS = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
CHANGED = np.array([[1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]], bool)


def test_a_reader_says_which_concepts_changed():
    before = {"smile": np.array([[2.0, 1], [2, 1]]), "hair": np.array([[0.0, 3, 1], [0, 3, 1]])}
    after = {"smile": np.array([[1.0, 2], [3, 1]]), "hair": np.array([[0.0, 9, 1], [5, 3, 1]])}
    assert changed_concepts(before, after, ["hair", "smile"]).tolist() == [[False, True], [True, False]]


def test_precision_is_the_share_of_the_changed_that_flip():
    values, scored = truth_precision(CHANGED, FLIPS)
    assert scored.tolist() == [
        True,
        True,
        False,
        False,
        True,
    ]  # the third changes nothing, the fourth depends on nothing
    assert values.tolist() == [0.5, 1, 0, 0, 0]


def test_recall_is_the_share_of_those_that_flip_that_changed_and_none_for_an_unchanged_image():
    values, scored = truth_recall(CHANGED, FLIPS)
    assert scored.tolist() == [True, True, True, False, True]
    assert values.tolist() == [0.5, 1, 0, 0, 0]


def test_side_effects_are_changes_that_flip_nothing():
    values, scored = side_effects(CHANGED, FLIPS)
    assert scored.tolist() == [True, True, True, False, True]
    assert values.tolist() == [1, 0, 0, 0, 1]


def test_changes_of_a_cause_and_of_something_else_are_counted_among_the_wanted_images():
    wanted = np.array([True, True, True, False, True])
    causes, others = changes_any(CHANGED, FLIPS, wanted), changes_any(CHANGED, ~FLIPS, wanted)
    assert causes.scored.tolist() == others.scored.tolist() == wanted.tolist()
    assert causes.values.tolist() == [1, 1, 0, 0, 0] and others.values.tolist() == [1, 0, 0, 0, 1]


def test_each_flip_is_causal_trivial_or_collateral():
    wanted = np.array([True, True, True, False, True])
    found = kinds_of_flips(CHANGED, FLIPS, wanted)
    assert {kind: values.tolist() for kind, (values, _) in found.items()} == {
        "causal": [1, 1, 0, 0, 0],
        "trivial": [0, 0, 1, 0, 0],
        "collateral": [0, 0, 0, 0, 1],
    }
    assert all(scored.tolist() == wanted.tolist() for _, scored in found.values())


def test_changes_are_collateral_where_no_concept_flips_alone():
    found = kinds_of_flips(CHANGED[3:4], FLIPS[3:4], [True])
    assert [kind for kind, (values, _) in found.items() if values == 1] == ["collateral"]


def test_changing_exactly_what_flips_is_perfect_and_changing_everything_is_not():
    rows = FLIPS.any(1)
    assert (truth_precision(FLIPS, FLIPS).values[rows] == 1).all() and (
        truth_recall(FLIPS, FLIPS).values[rows] == 1
    ).all()
    everything = np.ones_like(FLIPS)
    assert truth_recall(everything, FLIPS).values[rows].tolist() == [1] * 4
    assert truth_precision(everything, FLIPS).values[rows] == pytest.approx([2 / 3, 1 / 3, 1 / 3, 2 / 3])


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match="images, concepts"):
        truth_recall(CHANGED, FLIPS[:2])
