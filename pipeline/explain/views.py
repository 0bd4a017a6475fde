"""Random views of images, over which evidence is averaged so that it does not hang on single pixels.

The parameters are those that DVCE (Augustin et al. 2022) took over from Blended Diffusion (Avrahami et al. 2022): a
rotation and a shift, then a change of perspective, each with probability 0.7. Here both are one map and one resampling,
and beyond its edge an image goes on with the colour of the edge. The published code resamples twice, goes on with the
edge's colour for the rotation and shift alone and fills what the perspective uncovers with 0 (grey, of images in
[-1, 1]), and draws for the whole batch from one stream.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.noise import Noise

PROBABILITY = 0.7
LARGEST_TURN = 15.0  # degrees
LARGEST_SHIFT = 0.2  # a tenth of the side; coordinates run from -1 to 1
DISTORTION = 0.7  # how far each corner may move inwards, as a share of half the side
NUMBERS = 13  # of one view: two decisions, a turn, a shift, four corners
NEAREST_HORIZON = 1e-2  # points at the horizon and behind it lie far outside the image

CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0]], dtype=torch.float64)


def draw_views(noise: Noise, step: int, count: int, images: Tensor) -> list[Tensor | None]:
    """`count` views of a step: the image as it is (None), and sampling grids (N, H, W, 2) for the others.

    Each image has views of its own, drawn from its own noise.
    """
    if count == 1:
        return [None]
    drawn = noise.for_purpose(f"{noise.purpose}: views").to("cpu").uniform(step, (count - 1, NUMBERS)).double()
    maps = homographies(drawn, images.shape[-1] / images.shape[-2]).to(images)
    return [None, *(grid(maps[:, view], *images.shape[-2:]) for view in range(count - 1))]


def seen(images: Tensor, view: Tensor | None) -> Tensor:
    """Images (N, C, H, W) as they look in a view; differentiable."""
    if view is None:
        return images
    return functional.grid_sample(images, view, padding_mode="border", align_corners=False)


def homographies(drawn: Tensor, aspect: float) -> Tensor:
    """Maps (..., 3, 3) from coordinates of the view to those of the image, from uniform numbers (..., 13).

    aspect: width over height, since a turn is one of pixels while coordinates run from -1 to 1 on either side.
    """
    turned, bent = drawn[..., 0] < PROBABILITY, drawn[..., 1] < PROBABILITY
    same = torch.eye(3, dtype=drawn.dtype).expand(*drawn.shape[:-1], 3, 3)
    affine = torch.where(turned[..., None, None], rotation_and_shift(2 * drawn[..., 2:5] - 1, aspect), same)
    corners = CORNERS * (1 - DISTORTION * drawn[..., 5:].unflatten(-1, (4, 2)))
    return affine @ torch.where(bent[..., None, None], to_square(corners), same)


def rotation_and_shift(numbers: Tensor, aspect: float) -> Tensor:
    """Maps (..., 3, 3) from a turn and a shift (..., 3), each in [-1, 1] as a share of the largest."""
    angle = numbers[..., 0] * math.radians(LARGEST_TURN)
    right, down = LARGEST_SHIFT * numbers[..., 1], LARGEST_SHIFT * numbers[..., 2]
    cosine, sine, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = [cosine, -sine / aspect, right], [sine * aspect, cosine, down], [zero, zero, zero + 1]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def to_square(corners: Tensor) -> Tensor:
    """The homographies (..., 3, 3) that take four corners (..., 4, 2), in the order of CORNERS, to CORNERS.

    Each corner gives two equations that are linear in the first eight entries; the ninth is 1.
    """
    x, y = corners.unbind(-1)
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    across, down = CORNERS.expand_as(corners).unbind(-1)
    of_across = torch.stack([x, y, one, zero, zero, zero, -across * x, -across * y], dim=-1)
    of_down = torch.stack([zero, zero, zero, x, y, one, -down * x, -down * y], dim=-1)
    equations, wanted = torch.cat([of_across, of_down], dim=-2), torch.cat([across, down], dim=-1)
    entries = torch.linalg.solve(equations, wanted)
    return torch.cat([entries, torch.ones_like(entries[..., :1])], dim=-1).unflatten(-1, (3, 3))


def grid(maps: Tensor, height: int, width: int) -> Tensor:
    """Where each pixel of a view lies in the image: (N, H, W, 2) in [-1, 1], from maps (N, 3, 3)."""
    down = ((torch.arange(height).to(maps) + 0.5) * (2 / height) - 1)[:, None]
    across = (torch.arange(width).to(maps) + 0.5) * (2 / width) - 1
    entries = maps[..., None, None]
    x, y, scale = (entries[:, row, 0] * across + entries[:, row, 1] * down + entries[:, row, 2] for row in range(3))
    return torch.stack([x, y], dim=-1) / scale.clamp_min(NEAREST_HORIZON)[..., None]
