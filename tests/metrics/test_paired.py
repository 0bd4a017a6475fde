import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.paired import holm, paired_bootstrap

NOISE = np.random.default_rng(0).normal(size=60)
OPTIONS = {"seed": 1, "purpose": "truth_auroc", "samples": 1000}


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])  # 0.01 * 3; 0.03 * 2; 0.04 * 1, not below 0.06
    assert holm([0.5, 0.6]) == pytest.approx([1, 1])
    assert holm([]).tolist() == []


def test_a_method_that_is_better_on_every_image_leaves_no_doubt():
    found, p = paired_bootstrap((NOISE + 0.2) - NOISE, **OPTIONS)
    assert found.value == pytest.approx(0.2) and found.n == 60
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))
    assert p == pytest.approx(2 / 1001)


def test_a_difference_has_the_same_p_in_either_direction():
    differences = 0.2 + NOISE
    assert paired_bootstrap(differences, **OPTIONS)[1] == paired_bootstrap(-differences, **OPTIONS)[1]


def test_pairing_finds_what_the_spread_of_images_hides():
    images = np.random.default_rng(1).normal(0, 10, 60)
    better = images + 0.1 + 0.1 * NOISE
    assert stats.ttest_ind(better, images).pvalue > 0.9
    assert paired_bootstrap(better - images, **OPTIONS)[1] < 0.01


def test_equal_methods_are_not_distinguishable():
    found, p = paired_bootstrap(NOISE - NOISE, **OPTIONS)
    assert (found.value, found.low, found.high, p) == (0, 0, 0, 1)


def test_the_interval_and_p_are_those_of_theory_for_normal_differences():
    differences = NOISE - NOISE.mean() + 0.25
    found, p = paired_bootstrap(differences, **{**OPTIONS, "samples": 10_000})
    error = differences.std() / np.sqrt(60)
    assert (found.low, found.high) == pytest.approx((0.25 - 1.96 * error, 0.25 + 1.96 * error), abs=0.02)
    assert p == pytest.approx(2 * stats.norm.sf(0.25 / error), abs=0.015)


def test_without_a_difference_p_is_small_about_as_often_as_it_says():
    generator = np.random.default_rng(2)
    options = OPTIONS | {"samples": 400}
    p = [paired_bootstrap(generator.normal(size=50), **(options | {"seed": seed}))[1] for seed in range(300)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.10


def test_too_few_images_tell_nothing():
    assert paired_bootstrap(np.ones(5), **OPTIONS)[1] == 2**-4
    assert paired_bootstrap(np.ones(6), **OPTIONS)[1] == 2**-5
    alone, p = paired_bootstrap(np.ones(1), **OPTIONS)
    assert (alone.value, alone.low, alone.high, p) == (1, None, None, 1)


def test_pairs_share_their_samples_and_a_purpose_has_its_own():
    one, other = paired_bootstrap(NOISE, **OPTIONS)[0], paired_bootstrap(2 * NOISE, **OPTIONS)[0]
    assert (other.low, other.high) == pytest.approx((2 * one.low, 2 * one.high))
    assert paired_bootstrap(NOISE, **(OPTIONS | {"purpose": "pointing_game"}))[0].low != one.low
