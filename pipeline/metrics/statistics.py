"""Means and shares with intervals over images."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.noise import stream


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its interval (None where one image alone gives none) and its number of images."""

    value: float
    low: float | None
    high: float | None
    n: int


def share(successes: np.ndarray, confidence: float = 0.95) -> Estimate:
    """Share of successes (N,) with Wilson's score interval (Wilson 1927), which stays honest at 0 and at 1."""
    return share_of(int(np.sum(successes)), len(successes), confidence)


@cache
def share_of(count: int, number: int, confidence: float) -> Estimate:
    """The share of so many successes; the same few counts come again in thousands of rows, and each takes a while."""
    from scipy.stats import binomtest

    counted = binomtest(count, number)
    interval = counted.proportion_ci(confidence, method="wilson")
    return Estimate(float(counted.statistic), float(interval.low), float(interval.high), number)


def bootstrap_mean(values: np.ndarray, *, seed: int, purpose: str, samples: int, confidence: float = 0.95) -> Estimate:
    """Mean of values (N,), one per image, with the percentile bootstrap interval over images (Efron 1979).

    purpose: names the random stream, so that an interval never depends on what was computed before it.
    """
    if len(values) == 1:
        return Estimate(float(values[0]), None, None, 1)
    generator = stream(seed, "bootstrap", purpose)
    chosen = generator.integers(0, len(values), (samples, len(values)))
    means = np.asarray(values, np.float64)[chosen].mean(1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(float(np.mean(values)), float(low), float(high), len(values))


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], float],
    images: int,
    *,
    seed: int,
    purpose: str,
    samples: int,
    confidence: float = 0.95,
) -> Estimate:
    """A statistic of a set of images with its percentile bootstrap interval over images.

    statistic: of the images at these positions, which may repeat.
    """
    value = float(statistic(np.arange(images)))
    if images == 1:
        return Estimate(value, None, None, 1)
    generator = stream(seed, "bootstrap", purpose)
    found = [statistic(generator.integers(0, images, images)) for _ in range(samples)]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value, float(low), float(high), images)
