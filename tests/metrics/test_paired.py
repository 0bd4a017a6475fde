import numpy as np
import pytest
from scipy import stats

from pipeline.errors import UserError
from pipeline.metrics.paired import compare, holm, unbeaten

NOISE = np.random.default_rng(0).normal(size=60)
OPTIONS = {"better": "higher", "seed": 1, "purpose": "truth_auroc", "samples": 1000}


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])  # 0.01 * 3; 0.03 * 2; 0.04 * 1, not below 0.06
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]).tolist() == []


def test_a_method_that_is_better_on_every_image_wins():
    (comparison,) = compare({"fido": NOISE + 0.2, "random": NOISE}, **OPTIONS)
    assert comparison.difference == pytest.approx(0.2)
    assert (comparison.low, comparison.high) == pytest.approx((0.2, 0.2))
    assert comparison.favour == 1 and comparison.winner == "fido" and comparison.n == 60


def test_where_lower_is_better_the_lower_wins():
    (comparison,) = compare({"fido": NOISE + 0.2, "random": NOISE}, **{**OPTIONS, "better": "lower"})
    assert comparison.favour == 0 and comparison.winner == "random"


def test_pairing_finds_what_the_spread_of_images_hides():
    images = np.random.default_rng(1).normal(0, 10, 60)
    (comparison,) = compare({"a": images + 0.1 + 0.1 * NOISE, "b": images}, **OPTIONS)
    assert stats.ttest_ind(images + 0.1 + 0.1 * NOISE, images).pvalue > 0.9
    assert comparison.winner == "a"


def test_equal_methods_are_not_distinguishable():
    (comparison,) = compare({"a": NOISE, "b": NOISE.copy()}, **OPTIONS)
    assert (comparison.difference, comparison.favour, comparison.p, comparison.winner) == (0, 0.5, 1, None)


def test_the_interval_and_p_are_those_of_theory_for_normal_differences():
    differences = NOISE - NOISE.mean() + 0.25
    (comparison,) = compare({"a": differences, "b": 0 * NOISE}, **{**OPTIONS, "samples": 10_000})
    error = differences.std() / np.sqrt(60)
    assert (comparison.low, comparison.high) == pytest.approx((0.25 - 1.96 * error, 0.25 + 1.96 * error), abs=0.02)
    assert comparison.p == pytest.approx(2 * stats.norm.sf(0.25 / error), abs=0.015)


def test_without_a_difference_a_winner_is_named_about_as_often_as_allowed():
    generator = np.random.default_rng(2)
    named = [
        compare({"a": generator.normal(size=50), "b": np.zeros(50)}, **{**OPTIONS, "seed": seed, "samples": 400})
        for seed in range(300)
    ]
    assert 0.02 < np.mean([comparison.winner is not None for (comparison,) in named]) < 0.10


def test_too_few_images_tell_nothing():
    (five,) = compare({"a": np.ones(5), "b": np.zeros(5)}, **OPTIONS)
    (six,) = compare({"a": np.ones(6), "b": np.zeros(6)}, **OPTIONS)
    assert (five.p, five.winner) == (2**-4, None)
    assert (six.p, six.winner) == (2**-5, "a")


def test_many_comparisons_ask_for_more():
    slight = 0.25 + NOISE - NOISE.mean()
    (alone,) = compare({"a": slight, "b": 0 * NOISE}, **OPTIONS)
    others = {f"copy-{index}": 0 * NOISE for index in range(8)}
    among = compare({"a": slight, "b": 0 * NOISE, **others}, **OPTIONS)
    assert 0.01 < alone.p < 0.2
    assert len(among) == 45
    assert among[0].p == alone.p and among[0].p_adjusted > alone.p
    assert all(comparison.winner is None for comparison in among)


def test_the_unbeaten_are_the_winner_or_those_not_told_apart():
    best = {"a": NOISE + 1, "b": NOISE + 1 + 0.01 * NOISE[::-1], "c": NOISE}
    assert unbeaten(compare(best, **OPTIONS)) == ["a", "b"]
    assert unbeaten(compare({"a": NOISE + 1, "c": NOISE}, **OPTIONS)) == ["a"]


def test_only_images_scored_for_both_are_compared():
    values = {"a": np.array([1.0] * 8 + [0] * 2), "b": np.zeros(10)}
    scored = {"a": np.array([True] * 8 + [False] * 2), "b": np.array([True] * 9 + [False])}
    (comparison,) = compare(values, scored=scored, **OPTIONS)
    assert (comparison.n, comparison.difference) == (8, 1)
    with pytest.raises(UserError, match="no image that is scored for both"):
        compare(values, scored={"a": scored["a"], "b": ~scored["a"]}, **OPTIONS)


def test_pairs_share_their_samples_and_a_purpose_has_its_own():
    values = {"a": NOISE, "b": NOISE[::-1], "c": 0 * NOISE}
    first = {(each.first, each.second): each for each in compare(values, **OPTIONS)}
    (alone,) = compare({"a": NOISE, "c": 0 * NOISE}, **OPTIONS)
    (other,) = compare({"a": NOISE, "c": 0 * NOISE}, **{**OPTIONS, "purpose": "pointing_game"})
    assert (alone.low, alone.p) == (first["a", "c"].low, first["a", "c"].p)
    assert other.low != alone.low


def test_different_numbers_of_images_are_refused():
    with pytest.raises(ValueError, match="compare the same images"):
        compare({"a": NOISE, "b": NOISE[:9]}, **OPTIONS)
    with pytest.raises(ValueError, match="'higher' or 'lower'"):
        compare({"a": NOISE, "b": NOISE}, **{**OPTIONS, "better": "up"})
