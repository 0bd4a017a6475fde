"""Heuristic in-fillers: mean, blur, random colour and local mean (Chang et al. 2019, section 4).

Images are in [0, 1]. The official code works on images normalised for ImageNet, whose zero is ImageNet's mean colour:
with `colour: [0.485, 0.456, 0.406]` mean and local mean fill as published. Lengths are in pixels of a 224 pixel image
and scale with the image. Box and Gaussian are separable, and each side is one matrix product (a banded matrix holds
the window of every pixel, with its border), which runs the same on every device.
"""

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import torch

from pipeline.infill import Infill
from pipeline.noise import Noise

PUBLISHED_SIDE = 224  # pixels, of the images that the published lengths are for
BLUR_REACH = 4  # standard deviations; OpenCV's own choice of window for floating point images
COLOUR_PURPOSE = "colour of the random in-fill"


def mean(*, colour: str | Sequence[float] = "image") -> Infill:
    """Fill with one colour: "image" for the mean of each image, or three numbers in [0, 1]."""
    return Infill("mean", partial(fill_with_mean, colour=colour), per_step=False)


def blur(*, sigma: float = 10.0) -> Infill:
    """Fill with the image itself, blurred by a Gaussian of `sigma` pixels at 224 (as published, border reflect-101)."""
    return Infill("blur", partial(fill_with_blur, sigma=sigma), per_step=False)


def random(*, spread: float = 0.2) -> Infill:
    """Fill with a uniform colour for each row, plus N(0, spread) for each pixel and channel, clipped; always anew."""
    return Infill("random", partial(fill_at_random, spread=spread), per_step=True)


def local_mean(*, width: float = 15, colour: Sequence[float] = (0.0, 0.0, 0.0)) -> Infill:
    """Fill with the mean of the kept pixels in the box of `width` pixels at 224 around; `colour` where none is kept."""
    return Infill("local-mean", partial(fill_with_local_mean, width=width, colour=colour), per_step=True)


def fill_with_mean(
    images: torch.Tensor, keep: torch.Tensor, *, noise: Noise | None, step: int, colour: str | Sequence[float]
) -> torch.Tensor:
    """One colour for each image; the mask plays no part."""
    if colour == "image":
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images).contiguous()
    return images.new_tensor(colour)[None, :, None, None].expand_as(images).contiguous()


def fill_with_blur(
    images: torch.Tensor, keep: torch.Tensor, *, noise: Noise | None, step: int, sigma: float
) -> torch.Tensor:
    """The blurred image; the mask plays no part (dropped pixels are blurred in, as published)."""
    return gaussian_blur(images, sigma * scale_of(images))


def fill_at_random(
    images: torch.Tensor, keep: torch.Tensor, *, noise: Noise | None, step: int, spread: float
) -> torch.Tensor:
    """A colour for each row and noise for each pixel, from `noise` at `step`."""
    if noise is None or len(noise) != len(images):
        raise ValueError("the random in-filler needs noise with one row for each row of the images")
    channels = images.shape[1]
    colours = noise.for_purpose(f"{noise.purpose}: {COLOUR_PURPOSE}").uniform(step, (channels, 1, 1))
    grain = noise.normal(step, images.shape[1:])
    return grain.mul_(spread).add_(colours).clamp_(0, 1).to(images)


def fill_with_local_mean(
    images: torch.Tensor,
    keep: torch.Tensor,
    *,
    noise: Noise | None,
    step: int,
    width: float,
    colour: Sequence[float],
) -> torch.Tensor:
    """sum(x * keep) / sum(keep) over a box around each pixel, a kept pixel itself included; nothing beyond the border.

    The official code convolves each channel with a dense 15x15 box; here it is one box for each side.
    """
    box = odd_width(width * scale_of(images))
    rows, columns = (box_matrix(side, box).to(images) for side in images.shape[-2:])
    sums = rows @ torch.cat([images * keep, keep], dim=1) @ columns
    totals, kept = sums[:, :-1], sums[:, -1:]
    empty = images.new_tensor(colour)[None, :, None, None]
    return torch.where(kept > 0.5, totals / kept.clamp_min(1.0), empty)


def gaussian_blur(images: torch.Tensor, sigma: float, border: str = "reflect-101") -> torch.Tensor:
    """Images (..., H, W) blurred by a Gaussian with standard deviation `sigma` in pixels of these images.

    border: "reflect-101" mirrors about the outermost pixel (OpenCV's default); "edge" repeats it (Pillow's rule).
    """
    rows, columns = (blur_matrix(side, float(sigma), border).to(images) for side in images.shape[-2:])
    return rows @ images @ columns.T


@lru_cache(maxsize=64)
def blur_matrix(length: int, sigma: float, border: str = "reflect-101") -> torch.Tensor:
    """The weights (length, length) by which a Gaussian mixes a line of pixels, cut at four standard deviations."""
    with torch.inference_mode(False):  # what a cache holds must be fit for gradients too
        reach = int(BLUR_REACH * sigma + 0.5)
        offsets = torch.arange(-reach, reach + 1)
        weights = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
        sources = torch.arange(length)[:, None] + offsets
        if border == "edge" or length == 1:
            sources = sources.clamp(0, length - 1)
        else:
            period = 2 * (length - 1)
            sources = torch.minimum(sources % period, period - sources % period)
        mixed = torch.zeros(length, length, dtype=torch.float64)
        return mixed.scatter_add_(1, sources, (weights / weights.sum()).expand(length, -1)).float()


@lru_cache(maxsize=64)
def box_matrix(length: int, width: int) -> torch.Tensor:
    """Ones (length, length) where two pixels of a line are at most width // 2 apart; zero padding beyond the border."""
    with torch.inference_mode(False):
        places = torch.arange(length)
        return ((places[:, None] - places).abs() <= width // 2).float()


def scale_of(images: torch.Tensor) -> float:
    """Pixels of these images (..., H, W) for one pixel of a 224 pixel image, by the geometric mean of the sides."""
    height, width = images.shape[-2:]
    return math.sqrt(height * width) / PUBLISHED_SIDE


def odd_width(width: float) -> int:
    """The odd number of pixels nearest to `width`, at least 3: a box of one pixel would fill nothing."""
    return max(3, 2 * round((width - 1) / 2) + 1)
