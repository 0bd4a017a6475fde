"""The best method of a column and those that cannot be told from it, by hand."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from pipeline.report.comparison import Comparison


def comparison(values, p, **others):
    """Methods with these values; p: of each two that were compared."""
    differences = {
        (one, other): {"method": one, "compared_with": other, "value": values[one] - values[other], "p": found}
        for (one, other), found in p.items()
    }
    rows = {method: {"value": value} for method, value in values.items()}
    return Comparison(**{"rows": rows, "differences": differences, "better": "higher", "confidence": 0.95, **others})


def marks(found):
    return {method: found.mark(method) for method in found.rows}


VALUES = {"a": 3.0, "b": 2.0, "c": 1.0}


def test_the_best_is_held_against_each_other_and_holm_adjusts_for_their_number():
    found = comparison(VALUES, {("a", "b"): 0.03, ("a", "c"): 0.02})
    assert marks(found) == {"a": "best", "b": "", "c": ""}  # 0.02 times 2, then 0.03 as it is, but not below 0.04
    found = comparison(VALUES, {("a", "b"): 0.03, ("a", "c"): 0.03})
    assert found.level("a", "b") and found.level("a", "c")  # 0.03 times 2
    assert marks(found) == {"a": "", "b": "", "c": ""}  # where none is shown to be worse, none is the best
    alone = comparison({"a": 3.0, "b": 2.0}, {("a", "b"): 0.03})
    assert marks(alone) == {"a": "best", "b": ""}


def test_two_that_are_not_the_best_are_not_compared_unless_one_is_a_reference():
    p = dict.fromkeys(combinations("abc", 2), 0.02)
    found = comparison(VALUES, p)
    assert not found.compared("b", "c") and not found.level("b", "c")
    assert found.beats("a", "b") and not found.beats("b", "a")
    found = comparison(VALUES, p, references=["c"])
    assert found.beats("b", "c") and found.beats("a", "b")  # 0.02 times 2, of those held against c and against a
    p = {("a", "b"): 0.02, ("a", "c"): 0.03, ("b", "c"): 0.03}
    found = comparison(VALUES, p, references=["c"])
    assert found.beats("a", "b") and found.level("b", "c")  # 0.02 times 2, then 0.03 as it is, but 0.03 times 2


def test_where_lower_is_better_the_lowest_is_the_best_in_either_order_of_a_difference():
    found = comparison(VALUES, {("a", "c"): 0.001, ("c", "b"): 0.4}, better="lower")
    assert marks(found) == {"a": "", "b": "level", "c": "best"}
    assert found.beats("c", "a") and not found.beats("a", "c")


def test_methods_that_are_left_out_take_no_part_in_the_adjustment():
    p = {("a", "b"): 0.03, ("a", "c"): 0.03}
    assert comparison(VALUES, p).among(["a", "b"]).beats("a", "b") and not comparison(VALUES, p).beats("a", "b")
    assert marks(comparison(VALUES, p, references=["a", "gone"]).among(["b", "c"])) == {"b": "best", "c": ""}


def test_what_was_never_compared_is_neither_beaten_nor_level():
    found = comparison(VALUES, {("a", "b"): None})
    assert marks(found) == {"a": "best", "b": "", "c": ""}
    assert not any(found.compared("a", other) or found.beats("a", other) for other in "bc")


def test_the_study_says_how_sure_a_winner_must_be():
    p = {("a", "b"): 0.03}
    assert comparison(VALUES, p, confidence=0.95).beats("a", "b")
    assert not comparison(VALUES, p, confidence=0.99).beats("a", "b")


@pytest.mark.parametrize("methods", [3, 8])
def test_of_equal_methods_one_is_rarely_said_to_beat_another(methods):
    generator = np.random.default_rng(0)
    unadjusted = adjusted = 0
    for _ in range(300):
        values = dict(enumerate(generator.normal(size=methods)))
        apart = {(one, other): abs(values[one] - values[other]) / 2**0.5 for one, other in combinations(values, 2)}
        p = {pair: 2 * stats.norm.sf(distance) for pair, distance in apart.items()}
        found = comparison(values, p)
        adjusted += any(winner is not None for winner in found.winners.values())
        unadjusted += any(found.best in pair and each < 0.05 for pair, each in p.items())
    # The best is the best by the same values, so that a few more than 5 % are left.
    assert adjusted / 300 < 0.16 and adjusted < unadjusted / 1.5
