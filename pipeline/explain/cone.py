"""The cone projection of diffusion visual counterfactuals (DVCE; Augustin et al. 2022).

A gradient of an ordinary classifier is mostly noise to the eye, that of a robust one is not. So the robust helper's
gradient leads, as far as it stays within an angle of the gradient of the classifier that is to be explained.
"""

import math

import torch
from torch import Tensor

from pipeline.errors import UserError
from pipeline.explain.masking import check_word

PROJECTIONS = ("published", "exact")
ROUNDING = 1e-6  # a part across the axis shorter than this, of a unit vector, is rounding and has no direction


def project(target: Tensor, robust: Tensor, angle: float, projection: str = "published") -> Tensor:
    """Where to go, for each image, within the cone of `angle` degrees around the target gradient.

    target, robust: (N, ...) gradients of the classifier and of its robust helper; left as they are. angle: 0 to 90.
    projection: "published" gives a unit vector: the target's direction wherever the robust gradient lies in the cone,
        else the ray on the cone's boundary that is closest to it, also where that points away from the robust gradient
        (as the released code). "exact" is the Euclidean projection of the robust gradient onto the cone: the gradient
        itself within, its shadow on the boundary outside, and zero from 90 degrees beyond the boundary on.

    Returns (N, ...). A target gradient of zero gives zero: without evidence of the classifier there is no cone. A
    robust gradient of zero, or one opposite to the target, singles out no boundary ray: "published" gives the target's
    direction, "exact" zero.
    """
    check_word("projection", projection, PROJECTIONS)
    check_angle(angle)
    half = math.radians(angle)
    axis, helper = unit(target), unit(robust)
    along = per_image((axis * helper).flatten(1).sum(1).clamp(-1, 1), like=axis)
    across = helper - along * axis
    length = norm(across)
    between = torch.atan2(length, along)  # accurate near 0 and 180 degrees, where the arc cosine is not
    sideways = torch.where(length > ROUNDING, unit(across), torch.zeros_like(across))
    ray = unit(math.cos(half) * axis + math.sin(half) * sideways)
    if projection == "published":
        projected = torch.where(between <= half, axis, ray)
    else:
        shadow = (norm(robust) * torch.cos(between - half)) * ray
        projected = torch.where(between <= half, robust, shadow)
        projected = torch.where(between < half + math.pi / 2, projected, torch.zeros_like(robust))
    return torch.where(norm(axis) > 0, projected, torch.zeros_like(projected))


def unit(vectors: Tensor) -> Tensor:
    """Each of (N, ...) at Euclidean length 1; zero stays zero, and no length is too small."""
    largest = per_image(vectors.flatten(1).abs().amax(1), like=vectors)
    scaled = vectors / torch.where(largest > 0, largest, torch.ones_like(largest))
    return scaled / norm(scaled).clamp_min(1)  # the largest number of a vector is 1 now, so that its length is above


def norm(vectors: Tensor) -> Tensor:
    """Euclidean length of each of (N, ...), as (N, 1, ...)."""
    return per_image(torch.linalg.vector_norm(vectors.flatten(1), dim=1), like=vectors)


def per_image(numbers: Tensor, like: Tensor) -> Tensor:
    """Numbers (N,) shaped (N, 1, ...), to stand beside `like` (N, ...)."""
    return numbers.view(-1, *[1] * (like.ndim - 1))


def check_angle(angle: float) -> None:
    if not 0 <= angle <= 90:
        raise UserError(f"the angle of the cone is {angle}; use 0 to 90 degrees, such as 30")
