"""Methods compared on the same images: the mean difference with its interval, and p adjusted for many comparisons."""

from collections.abc import Sequence

import numpy as np

from pipeline.metrics.statistics import Estimate
from pipeline.noise import stream

CHUNK = 256  # bootstrap samples drawn at a time, to bound memory


def paired_bootstrap(
    differences: np.ndarray, *, seed: int, purpose: str, samples: int = 10_000, confidence: float = 0.95
) -> tuple[Estimate, float]:
    """The mean of the differences (N,) of each image with a percentile interval, and p of there being no difference.

    By the paired bootstrap over images (Efron & Tibshirani 1993). seed, purpose: name the random stream; all pairs of
    one number of images share their samples.
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
    ends = (float(low), float(high)) if len(differences) > 1 else (None, None)
    return Estimate(float(np.mean(differences)), *ends, len(differences)), p


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


def resampled_means(differences: np.ndarray, seed: int, purpose: str, samples: int) -> np.ndarray:
    """Means (samples,) of differences (N,) drawn with replacement."""
    generator = stream(seed, "paired-bootstrap", purpose)
    differences = np.asarray(differences, np.float64)
    means = []
    for start in range(0, samples, CHUNK):
        drawn = generator.integers(0, len(differences), (min(CHUNK, samples - start), len(differences)))
        means.append(differences[drawn].mean(1))
    return np.concatenate(means)
