"""Methods compared on the same images: differences with intervals, and which of them hold together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pipeline.errors import UserError
from pipeline.noise import stream

CHUNK = 256  # bootstrap samples drawn at a time, to bound memory


@dataclass(frozen=True)
class Comparison:
    """Two methods on the same n images.

    difference: mean of first - second, in the metric's own unit, with the ends of its interval.
    favour: share of the bootstrap samples in which `first` is the better one, ties as halves.
    p: two-sided, of no difference; p_adjusted: for the number of comparisons (equal to p until `adjusted`).
    winner: the better method if p_adjusted is below 1 - confidence, else None: the two are not distinguishable.
    """

    first: str
    second: str
    difference: float
    low: float
    high: float
    n: int
    favour: float
    p: float
    p_adjusted: float
    winner: str | None


def compare(
    values: Mapping[str, np.ndarray],
    *,
    better: str,
    seed: int,
    purpose: str,
    scored: Mapping[str, np.ndarray] | None = None,
    samples: int = 10_000,
    confidence: float = 0.95,
) -> list[Comparison]:
    """Every pair of methods, by the paired bootstrap over images (Efron & Tibshirani 1993), with Holm's correction.

    values: {method: (N,)}, row i the same image for all. better: "higher" or "lower".
    scored: {method: (N,) bool}; a pair is compared on the images that both have.
    seed, purpose: name the random stream; all pairs of one number of images share their samples.
    """
    if better not in ("higher", "lower"):
        raise ValueError(f"better is {better!r}; it must be 'higher' or 'lower'")
    if len({len(each) for each in values.values()}) > 1:
        raise ValueError(f"{ {method: len(each) for method, each in values.items()} } values; compare the same images")
    comparisons = []
    for first, second in combinations(values, 2):
        shared = np.ones(len(values[first]), bool) if scored is None else scored[first] & scored[second]
        if not shared.any():
            raise UserError(
                f"methods '{first}' and '{second}' have no image that is scored for both; score more images"
            )
        differences = np.asarray(values[first], np.float64)[shared] - np.asarray(values[second], np.float64)[shared]
        comparisons.append(
            paired_bootstrap(first, second, differences, better, seed, purpose, samples=samples, confidence=confidence)
        )
    return adjusted(comparisons, better, confidence)


def paired_bootstrap(
    first: str,
    second: str,
    differences: np.ndarray,
    better: str,
    seed: int,
    purpose: str,
    *,
    samples: int = 10_000,
    confidence: float = 0.95,
) -> Comparison:
    """One comparison from the differences (N,) of each image, with a percentile interval; p not yet adjusted.

    p is twice the smaller share of samples on one side of 0, with one sample added to each, so that it is never 0
    (Davison & Hinkley 1997, chapter 4); and at least 2^(1 - N), the least that signs on N images can tell: with few
    images the bootstrap knows too few values and would see a winner everywhere.
    """
    means = resampled_means(differences, seed, purpose, samples)
    # A sum over a reordered constant rounds differently each time, and must not count as a difference.
    means[np.abs(means) < 1e-12 * np.abs(differences).max(initial=0)] = 0
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    above, below = int((means > 0).sum()), int((means < 0).sum())
    p = 2 * (1 + samples - max(above, below)) / (samples + 1)
    p = min(1.0, max(p, 2.0 ** (1 - len(differences))))
    favoured = above if better == "higher" else below
    favour = (favoured + (samples - above - below) / 2) / samples
    difference = float(np.mean(differences))
    winner = preferred(first, second, difference, better) if p < 1 - confidence else None
    return Comparison(first, second, difference, float(low), float(high), len(differences), favour, p, p, winner)


def adjusted(comparisons: Sequence[Comparison], better: str, confidence: float = 0.95) -> list[Comparison]:
    """The same comparisons with p and winner adjusted for their number."""
    corrected = holm([comparison.p for comparison in comparisons])
    return [
        replace(
            comparison,
            p_adjusted=float(p),
            winner=preferred(comparison.first, comparison.second, comparison.difference, better)
            if p < 1 - confidence
            else None,
        )
        for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def holm(p: Sequence[float]) -> np.ndarray:
    """P values (M,) adjusted by Holm's step-down method (Holm 1979): the chance of any false winner is bounded.

    The smallest is multiplied by M, the next by M - 1, and so on; none falls below one before it, or rises above 1.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)) if len(p) else p
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def unbeaten(comparisons: Sequence[Comparison]) -> list[str]:
    """The methods that no other beats, in order of appearance: if there is one alone, it wins."""
    methods = dict.fromkeys(name for comparison in comparisons for name in (comparison.first, comparison.second))
    beaten = {
        comparison.second if comparison.winner == comparison.first else comparison.first
        for comparison in comparisons
        if comparison.winner is not None
    }
    return [method for method in methods if method not in beaten]


def preferred(first: str, second: str, difference: float, better: str) -> str:
    """The method with the better mean."""
    return first if (difference > 0) == (better == "higher") else second


def resampled_means(differences: np.ndarray, seed: int, purpose: str, samples: int) -> np.ndarray:
    """Means (samples,) of differences (N,) drawn with replacement."""
    generator = stream(seed, "paired-bootstrap", purpose)
    differences = np.asarray(differences, np.float64)
    means = []
    for start in range(0, samples, CHUNK):
        drawn = generator.integers(0, len(differences), (min(CHUNK, samples - start), len(differences)))
        means.append(differences[drawn].mean(1))
    return np.concatenate(means)
