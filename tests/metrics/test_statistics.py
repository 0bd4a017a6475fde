import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from pipeline.metrics.statistics import bootstrap_mean, bootstrap_statistic, share


def test_a_share_of_eight_in_ten_has_the_interval_of_wilson():
    estimate = share(np.array([1] * 8 + [0] * 2))
    assert estimate.value == pytest.approx(0.8)
    assert (estimate.low, estimate.high) == pytest.approx((0.4902, 0.9433), abs=1e-3)


def test_a_share_of_none_still_has_a_width():
    estimate = share(np.zeros(128))
    assert estimate.low == 0 and 0.02 < estimate.high < 0.04


@settings(max_examples=25, deadline=None)
@given(some.lists(some.floats(-5, 5), min_size=2, max_size=40))
def test_a_bootstrap_interval_holds_the_mean_and_stays_within_the_values(values):
    estimate = bootstrap_mean(np.array(values), seed=1, purpose="test", samples=200)
    assert estimate.value == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9


def test_a_bootstrap_interval_covers_the_true_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    estimates = [
        bootstrap_mean(generator.normal(size=60), seed=index, purpose="test", samples=300, confidence=0.9)
        for index in range(200)
    ]
    covered = [estimate.low <= 0 <= estimate.high for estimate in estimates]
    assert 0.82 < np.mean(covered) < 0.96


def test_one_image_alone_has_a_value_and_no_interval():
    estimate = bootstrap_mean(np.array([0.3]), seed=1, purpose="test", samples=200)
    assert (estimate.value, estimate.low, estimate.high, estimate.n) == (0.3, None, None, 1)


def test_an_interval_depends_on_its_own_stream_alone():
    values = np.arange(20.0)
    first = bootstrap_mean(values, seed=1, purpose="effect/a", samples=200)
    bootstrap_mean(values, seed=1, purpose="effect/b", samples=200)
    assert bootstrap_mean(values, seed=1, purpose="effect/a", samples=200) == first
    assert bootstrap_mean(values, seed=1, purpose="effect/b", samples=200) != first


def test_a_statistic_that_is_the_mean_has_the_interval_of_the_mean():
    values = np.random.default_rng(3).normal(size=200)
    mean = bootstrap_mean(values, seed=1, purpose="mean", samples=2000)
    found = bootstrap_statistic(lambda rows: values[rows].mean(), 200, seed=1, purpose="other", samples=2000)
    assert found.value == pytest.approx(mean.value) and found.n == 200
    assert (found.low, found.high) == pytest.approx((mean.low, mean.high), abs=0.01)


def test_a_statistic_of_one_image_has_no_interval():
    found = bootstrap_statistic(lambda rows: 2.0 * len(rows), 1, seed=1, purpose="test", samples=10)
    assert (found.value, found.low, found.high) == (2.0, None, None)
