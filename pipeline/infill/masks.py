"""Masks to train in-fillers on: those that FIDO makes on its way, and those of evaluations.

FIDO's mask is noise for each pixel at first, and ends as a few regions. So there are four kinds: boxes, strokes,
regions of smooth noise, and single pixels, whose probability varies smoothly over the image.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

STROKES, NARROWEST, WIDEST = 6, 0.03, 0.12  # lines of a mask, their half widths as shares of the side
CELLS = (3, 16)  # of smooth noise along the side
CONTRAST = 3.0  # of the log-odds of single pixels; without it they would all be equally likely


def draw_keep(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Masks (count, 1, H, W), 1 for kept and 0 for a hole, each of a kind drawn for it."""
    kinds = torch.randint(len(KINDS), (count,), generator=generator)
    holes = torch.zeros(count, height, width, dtype=torch.bool)
    for kind, draw in enumerate(KINDS.values()):
        holes[kinds == kind] = draw(int((kinds == kind).sum()), height, width, generator)
    return (~holes).float()[:, None]


def boxes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Holes (count, H, W): a rectangle of an eighth to three quarters of each side."""
    share = torch.rand(count, 4, generator=generator)
    sides = 0.125 + 0.625 * share[:, :2]
    starts = (1 - sides) * share[:, 2:]
    down, across = (within(starts[:, axis], sides[:, axis], size) for axis, size in enumerate((height, width)))
    return down[:, :, None] & across[:, None, :]


def within(start: Tensor, length: Tensor, size: int) -> Tensor:
    """Which pixels (N, size) of a line lie from `start` (N,) on for `length` (N,), both as shares of the line."""
    places = (torch.arange(size) + 0.5) / size
    return (places >= start[:, None]) & (places < (start + length)[:, None])


def strokes(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Holes (count, H, W): a pen that goes from point to point, with a width of its own for each line."""
    points = torch.rand(count, STROKES + 1, 2, generator=generator)
    widths = NARROWEST + (WIDEST - NARROWEST) * torch.rand(count, STROKES, 1, 1, generator=generator)
    drawn = torch.rand(count, STROKES, 1, 1, generator=generator) < 0.75
    drawn[:, 0] = True
    down, across = (torch.arange(size).add(0.5) / size for size in (height, width))
    pixels = torch.stack(torch.meshgrid(down, across, indexing="ij"), -1)
    start, along = points[:, :-1, None, None], (points[:, 1:] - points[:, :-1])[:, :, None, None]
    reached = ((pixels - start) * along).sum(-1) / along.square().sum(-1).clamp_min(1e-6)
    apart = (pixels - start - reached.clamp(0, 1)[..., None] * along).square().sum(-1)
    return ((apart < widths**2) & drawn).any(1)


def regions(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Holes (count, H, W): where smooth noise is above a level that leaves a share of one to nine tenths."""
    smooth = smooth_noise(count, height, width, generator).flatten(1)
    shares = 0.1 + 0.8 * torch.rand(count, generator=generator)
    places = (shares * (smooth.shape[1] - 1)).long()
    levels = smooth.sort(1).values.gather(1, places[:, None])
    return (smooth > levels).view(count, height, width)


def pixels(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Holes (count, H, W): each pixel by itself, with odds that vary smoothly, more or less."""
    middle = torch.logit(0.05 + 0.9 * torch.rand(count, 1, 1, generator=generator))
    contrast = CONTRAST * torch.rand(count, 1, 1, generator=generator)
    odds = middle + contrast * smooth_noise(count, height, width, generator)
    return torch.rand(count, height, width, generator=generator) < torch.sigmoid(odds)


def smooth_noise(count: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Noise (count, H, W) of about unit variance, spread from grids of one number of cells."""
    low, high = CELLS
    cells = low * (high / low) ** torch.rand((), generator=generator).item()
    rows, columns = max(2, round(cells)), max(2, round(cells * width / height))
    coarse = torch.randn(count, 1, rows, columns, generator=generator)
    spread = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)[:, 0]
    return spread / math.sqrt(0.5)


KINDS: dict[str, Callable[[int, int, int, torch.Generator], Tensor]] = {
    "boxes": boxes,
    "strokes": strokes,
    "regions": regions,
    "pixels": pixels,
}
