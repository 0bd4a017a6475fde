"""Flipping curves: fill in the pixels that a map ranks first (or last), and watch the decision.

Samek et al. 2017 (most relevant first) and the MNIST study of Chang et al. 2019. The in-filler is held fixed over the
methods compared; a method that was optimised with the same one is favoured by it, so report several.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.infill import Infill
from pipeline.infill.masked import masked_logits
from pipeline.metrics.truth_maps import Scored, at_size
from pipeline.noise import Noise

PURPOSE = "flipping"
SHARES = (0.0, 0.02, 0.05, *(tenth / 10 for tenth in range(1, 11)))
SMALLEST_RANGE = 1.0  # log-odds; on a smaller one any wiggle of the curve would outweigh all other images


@dataclass(frozen=True)
class Curves:
    """What a classifier says of N images as more and more of their pixels are filled in.

    shares: (S,) of the pixels, from 0 to 1.
    removal, keeping: log-odds (N, S) of the target when the highest, or the lowest, share of the map is filled in.
    removal_decided, keeping_decided: the class (N, S) decided then.
    network_evaluations: for each image.
    """

    shares: np.ndarray
    removal: np.ndarray
    keeping: np.ndarray
    removal_decided: np.ndarray
    keeping_decided: np.ndarray
    network_evaluations: int


def flipping_curves(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: np.ndarray | torch.Tensor,
    *,
    infill: Infill,
    noise: Noise,
    shares: Sequence[float] = SHARES,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Curves:
    """The curves of maps (N, h, w) on images (N, 3, H, W) in [0, 1] with targets (N,).

    Equal values of a map are ranked in reading order. noise: of the in-filler; its stream must not depend on the
    method, so that all are filled alike. The untouched and the empty image are evaluated once for both curves.
    progress: called with the number of images just finished.
    """
    shares = np.asarray(shares, np.float64)
    if len(shares) < 2 or shares[0] != 0 or shares[-1] != 1 or (np.diff(shares) <= 0).any():
        raise ValueError(f"shares are {shares.tolist()}; they must rise from 0 to 1")
    pixels, count = images.shape[-2] * images.shape[-1], len(shares)
    ranks = torch.stack([ranked(map, images.shape[-2:]) for map in torch.as_tensor(maps).cpu()])  # (N, H, W)
    dropped = torch.from_numpy(np.round(shares * pixels)).long()
    # The bottom k are dropped by keeping ranks below pixels - k; ends are shared with the curve by removal.
    variants = torch.cat([dropped, pixels - dropped[1:-1]])
    from_top = torch.arange(len(variants)) < count

    def keep_of(image: torch.Tensor, variant: torch.Tensor) -> torch.Tensor:
        above = ranks[image] < variants[variant, None, None]
        return (above != from_top[variant, None, None])[:, None]

    logits = masked_logits(
        classifier, images, keep_of, len(variants), infill=infill, noise=noise, batch_size=batch_size, progress=progress
    )
    odds = log_odds(logits.flatten(0, 1), targets.cpu().repeat_interleave(len(variants))).view(len(images), -1)
    decided = logits.argmax(2)
    (removal, keeping), (removal_decided, keeping_decided) = (
        in_two(values.numpy(), count) for values in (odds, decided)
    )
    return Curves(shares, removal, keeping, removal_decided, keeping_decided, len(variants))


def removal_auc(curves: Curves, smallest_range: float = SMALLEST_RANGE) -> Scored:
    """Area under the normalised curve by removal, lower is better: the first pixels removed carry the decision.

    Normalised: 1 at the log-odds of the untouched image, 0 at those of the wholly filled one; a curve may leave [0, 1].
    An image whose log-odds do not fall by at least `smallest_range` from one to the other is not scored: what is filled
    in then speaks for the target no less than the image does.
    """
    return normalised_area(curves.removal, curves.shares, smallest_range)


def keeping_auc(curves: Curves, smallest_range: float = SMALLEST_RANGE) -> Scored:
    """Area under the normalised curve by keeping, higher is better: the last pixels kept carry the decision.

    Normalised, and left unscored, as in `removal_auc`.
    """
    return normalised_area(curves.keeping, curves.shares, smallest_range)


def share_until_change(decided: np.ndarray, shares: np.ndarray) -> Scored:
    """The first share (N,) at which the class decided (N, S) is not the one at share 0.

    Low is good by removal, high by keeping. Images whose decision never changes are not scored.
    """
    changed = decided != decided[:, :1]
    scored = changed.any(1)
    return Scored(np.where(scored, np.asarray(shares, np.float64)[changed.argmax(1)], 0.0), scored)


def normalised_area(curve: np.ndarray, shares: np.ndarray, smallest_range: float) -> Scored:
    """Area (N,), by the trapezoidal rule, of curves (N, S) scaled to go from 1 to 0."""
    curve = np.asarray(curve, np.float64)
    span = curve[:, 0] - curve[:, -1]
    scored = span >= smallest_range
    normalised = (curve - curve[:, -1:]) / np.where(scored, span, 1.0)[:, None]
    return Scored(np.where(scored, np.trapezoid(normalised, shares, axis=1), 0.0), scored)


def ranked(map: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The rank (H, W) of each pixel of a map (h, w) at `size` (H, W), 0 the highest; the first of equal ones first."""
    values = torch.from_numpy(at_size(map.numpy(), size)).flatten()
    order = torch.argsort(values, descending=True, stable=True)
    ranks = torch.empty_like(order)
    ranks[order] = torch.arange(len(order))
    return ranks.view(size)


def in_two(values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The curve by removal and the one by keeping, of values (N, 2 * count - 2) that share their ends."""
    removal = values[:, :count]
    return removal, np.concatenate([removal[:, :1], values[:, count:], removal[:, -1:]], axis=1)
