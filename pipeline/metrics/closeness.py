"""Closeness in pixels: how far, and over how many pixels, is a counterfactual from its source image?

`distance` is the corrected definition, a value per image that depends neither on the size of the image nor on the
number of images. `batch_distance` is what the published code of Vaeth et al. 2023 computes: one norm over all images
of a cell at once, of pixels in [-1, 1]. `in_published_units` takes one to the other.
"""

import math

import torch

ORDERS = {"l1": 1.0, "l1.5": 1.5, "l2": 2.0, "linf": math.inf}
"""The distances that are measured, by their orders."""
NOTICEABLE = 1 / 255  # of a channel, on average: one step of an 8-bit image


def distance(counterfactuals: torch.Tensor, images: torch.Tensor, order: float) -> torch.Tensor:
    """The mean over values of |difference|^order, to the power 1/order; for order inf the largest |difference|.

    counterfactuals, images: (N, C, H, W), cut to [0, 1] first. order: 1 or above. Returns float64 (N,) in [0, 1].
    With order 1 and inf these are the l1 and l-infinity of Jeanneret et al. 2023.
    """
    apart = differences(counterfactuals, images).flatten(1)
    if order == math.inf:
        return apart.amax(1)
    return apart.pow(checked_order(order)).mean(1).pow(1 / order)


def batch_distance(counterfactuals: torch.Tensor, images: torch.Tensor, order: float) -> float:
    """The norm of order `order` of the difference of all images together, of pixels in [-1, 1], as published.

    counterfactuals, images: (N, C, H, W) in [0, 1]. It grows with the number of images and of pixels. The published
    counterfactuals were not cut to the range of an image; those given here may be outside it too.
    """
    apart = 2 * (counterfactuals.double() - images.double()).abs()
    return float(apart.pow(checked_order(order)).sum().pow(1 / order))


def pooled_distance(distances: torch.Tensor, order: float) -> float:
    """One distance of all images together from those of each (N,): the mean of their powers `order`, back to 1."""
    return float(distances.double().pow(checked_order(order)).mean().pow(1 / order))


def in_published_units(pooled: float, order: float, images: int, values: int) -> float:
    """What `batch_distance` is for this pooled distance of `images` images of `values` = C * H * W values each."""
    return 2 * (images * values) ** (1 / checked_order(order)) * pooled


def from_published_units(published: float, order: float, images: int, values: int) -> float:
    """The pooled distance, in [0, 1], for which `batch_distance` is `published`; inverse of `in_published_units`."""
    return published / (2 * (images * values) ** (1 / checked_order(order)))


def sparsity(counterfactuals: torch.Tensor, images: torch.Tensor, noticeable: float = NOTICEABLE) -> torch.Tensor:
    """The share of pixels whose channels change by more than `noticeable` on average; lower is sparser.

    counterfactuals, images: (N, C, H, W), cut to [0, 1] first. Returns float64 (N,) in [0, 1].
    """
    # Half of a millionth above, so that a change by exactly one step of 8 bits is not counted by its rounding.
    return (differences(counterfactuals, images).mean(1) > noticeable + 5e-7).double().mean((1, 2))


def differences(counterfactuals: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """|difference| (N, C, H, W) in float64 of images cut to [0, 1]."""
    if counterfactuals.shape != images.shape:
        raise ValueError(f"images {tuple(counterfactuals.shape)} and {tuple(images.shape)}; give the same shapes")
    return (counterfactuals.clamp(0, 1).double() - images.clamp(0, 1).double()).abs()


def checked_order(order: float) -> float:
    """The order of a norm, if it is one and finite."""
    if not 1 <= order < math.inf:
        raise ValueError(f"order is {order}; use 1 or above and finite, such as 1.5")
    return order
