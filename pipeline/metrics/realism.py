"""Realism: are the counterfactuals, taken together, like real images?

All distances compare two sets of feature vectors. They are FID and KID only with the published Inception network.
Against their own sources an unchanged image scores best: the reference that asks about realism is real images of the
target class, or the other half of the sources (`split_frechet_distance`).
"""

from dataclasses import dataclass

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.noise import stream

SUBSETS, SUBSET_SIZE = 100, 1000  # Binkowski et al. 2018


@dataclass(frozen=True)
class KernelDistance:
    """Mean over subsets, and the range that holds `confidence` of them (None where there is one subset only).

    The range tells how much the estimate varies from subset to subset of this size, not how sure the mean is.
    """

    value: float
    low: float | None
    high: float | None
    subset_size: int
    subsets: int


def frechet_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Frechet distance of the Gaussians with the means and covariances of features (N, D) and (M, D), in float64.

    Heusel et al. 2017. Biased upwards, the more so the fewer images there are per dimension: below about 2,048 images
    prefer `kernel_distance`. The trace of the square root of the product of the covariances is the sum of the singular
    values of the product of the centred features; so no root of a near-singular matrix is taken, and a set is at
    distance 0 from itself to rounding.
    """
    (first_mean, first_spread), (second_mean, second_spread) = moments(first), moments(second)
    shared = np.linalg.svd(first_spread @ second_spread.T, compute_uv=False).sum()
    shift = np.square(first_mean - second_mean).sum()
    return float(max(0.0, shift + np.square(first_spread).sum() + np.square(second_spread).sum() - 2 * shared))


def split_frechet_distance(real: np.ndarray, counterfactuals: np.ndarray, *, seed: int) -> float:
    """Frechet distance that no image shares with its own counterfactual: sFID of Jeanneret et al. 2023.

    real, counterfactuals: features (N, D), row i of one made from row i of the other. The rows are shuffled by `seed`
    and halved; each half of the sources is compared with the counterfactuals of the other, and the two are averaged.
    """
    if len(real) != len(counterfactuals):
        raise ValueError(f"{len(real)} images and {len(counterfactuals)} counterfactuals; give one for each")
    order = stream(seed, "split", "frechet").permutation(len(real))
    first, second = np.array_split(order, 2)
    real, counterfactuals = np.asarray(real), np.asarray(counterfactuals)
    return (
        frechet_distance(real[first], counterfactuals[second]) + frechet_distance(real[second], counterfactuals[first])
    ) / 2


def kernel_distance(
    first: np.ndarray,
    second: np.ndarray,
    *,
    seed: int,
    subsets: int = SUBSETS,
    subset_size: int | None = None,
    confidence: float = 0.95,
) -> KernelDistance:
    """Squared maximum mean discrepancy of features (N, D) and (M, D), unbiased, by the kernel (x y / D + 1)^3.

    KID of Binkowski et al. 2018: the mean over `subsets` random subsets of each set. subset_size: None for 1,000, or
    the smaller set if that has fewer. May be a little below 0. Where each subset would be its whole set, there is one.
    """
    first, second = checked(first), checked(second)
    smaller = min(len(first), len(second))
    size = min(SUBSET_SIZE, smaller) if subset_size is None else subset_size
    if not 2 <= size <= smaller:
        raise UserError(f"kernel distance: subset_size is {size}; use 2 to {smaller}, the images of the smaller set")
    if size == len(first) == len(second):
        return KernelDistance(discrepancy(first, second), None, None, size, 1)
    estimates = []
    for subset in range(subsets):
        generator = stream(seed, "subset", "kernel", subset)
        chosen = [generator.choice(len(features), size, replace=False) for features in (first, second)]
        estimates.append(discrepancy(first[chosen[0]], second[chosen[1]]))
    low, high = np.quantile(estimates, [(1 - confidence) / 2, (1 + confidence) / 2])
    return KernelDistance(float(np.mean(estimates)), float(low), float(high), size, subsets)


def kernel_estimate(
    first: np.ndarray, second: np.ndarray, *, paired: bool, confidence: float = 0.95
) -> tuple[float, float | None, float | None]:
    """The discrepancy of all features (N, D) and (M, D), and the ends of its interval over images.

    It is what `kernel_distance` estimates, from all pairs and not from subsets. The interval is the jackknife's
    (Efron & Stein 1981) with the normal quantile: the bootstrap would draw images twice, which lie at no distance from
    themselves. paired: row i of one was made from row i of the other, so that the two leave together. None where fewer
    than three images on a side leave none.
    """
    from scipy.stats import norm

    first, second = checked(first), checked(second)
    value = discrepancy(first, second)
    if min(len(first), len(second)) < 3:
        return value, None, None
    if paired and len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} features; give one for each where they are paired")
    within = [kernel(features, features) for features in (first, second)]
    between = kernel(first, second)
    without = [mean_without_each(each) for each in within]
    means = [each.sum() - np.trace(each) for each in within]
    means = [total / (len(each) * (len(each) - 1)) for total, each in zip(means, within, strict=True)]
    if paired:
        n = len(first)
        crossing = (between.sum() - between.sum(0) - between.sum(1) + np.diag(between)) / (n - 1) ** 2
        variance = jackknife_variance(without[0] + without[1] - 2 * crossing)
    else:
        rows = (between.sum() - between.sum(1)) / ((len(first) - 1) * len(second))
        columns = (between.sum() - between.sum(0)) / (len(first) * (len(second) - 1))
        variance = jackknife_variance(without[0] + means[1] - 2 * rows)
        variance += jackknife_variance(means[0] + without[1] - 2 * columns)
    reach = norm.ppf((1 + confidence) / 2) * np.sqrt(variance)
    return value, float(value - reach), float(value + reach)


def mean_without_each(within: np.ndarray) -> np.ndarray:
    """The mean of what is off the diagonal of a symmetric matrix (N, N), without row and column i, for each i (N,)."""
    off = within - np.diag(np.diag(within))
    return (off.sum() - 2 * off.sum(1)) / ((len(off) - 1) * (len(off) - 2))


def jackknife_variance(without: np.ndarray) -> float:
    """The variance of an estimate, from its values (N,) with each image left out."""
    return float((len(without) - 1) / len(without) * np.square(without - without.mean()).sum())


def wrapped_bytes(images: torch.Tensor) -> torch.Tensor:
    """Images in [0, 1] as the published code of Vaeth et al. 2023 shows them to Inception, in [0, 1] again.

    It multiplies pixels in [-1, 1] by 255 and keeps the lowest eight bits, so that dark values wrap around. Together
    with the 64 features after Inception's first pooling this makes the paper's definition of the Frechet distance.
    """
    return torch.trunc((2 * images.double() - 1) * 255).remainder(256).div(255).to(images.dtype)


def discrepancy(first: np.ndarray, second: np.ndarray) -> float:
    """Unbiased squared maximum mean discrepancy of features (N, D) and (M, D)."""
    within = [(kernel(features, features).sum() - np.trace(kernel(features, features))) for features in (first, second)]
    pairs = [len(features) * (len(features) - 1) for features in (first, second)]
    return float(within[0] / pairs[0] + within[1] / pairs[1] - 2 * kernel(first, second).mean())


def kernel(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The polynomial kernel (N, M) of features (N, D) and (M, D)."""
    return (first @ second.T / first.shape[1] + 1) ** 3


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean (D,) and a matrix (R, D) whose product with itself, transposed first, is the covariance (D, D)."""
    features = checked(features)
    mean = features.mean(0)
    spread = (features - mean) / np.sqrt(len(features) - 1)
    return mean, spread if len(spread) <= spread.shape[1] else np.linalg.qr(spread, mode="r")


def checked(features: np.ndarray) -> np.ndarray:
    """Features in float64, if they are those of at least two images."""
    features = np.asarray(features, np.float64)
    if len(features) < 2:
        raise UserError(
            f"a distance of sets needs features of 2 images or more on each side, there are {len(features)}"
        )
    return features
