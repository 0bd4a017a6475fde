"""What methods share that mask images and fill the holes."""

from collections.abc import Iterable, Sequence

import torch

from pipeline.device import in_batches
from pipeline.errors import UserError, nearest
from pipeline.infill import Infill
from pipeline.noise import Noise

PIXELS_PER_CELL = 4  # of FIDO: 56 cells for 224 pixels, as published


def fill(infill: Infill, images: torch.Tensor, kept: torch.Tensor, noise: Noise, steps: Sequence[int]) -> torch.Tensor:
    """Backgrounds (S, M, 3, H, W) of images (S, 1, 3, H, W) for M masks each: bool (S, M, H, W), False for a hole.

    noise: a row for each image, taken at its own one of `steps` (S,).
    """
    slots, masks = kept.shape[:2]
    rows = images.expand(-1, masks, -1, -1, -1).flatten(0, 1)
    filled = infill(rows, kept.to(rows).flatten(0, 1)[:, None], noise=infill_noise(noise, steps, masks))
    return filled.unflatten(0, (slots, masks))


def infill_noise(noise: Noise, steps: Sequence[int], masks: int) -> Noise:
    """Noise for the in-filler, a row for each of S * M masks; the step of each of S images is part of the sample."""
    image_ids = [image_id for image_id in noise.image_ids for _ in range(masks)]
    samples = [
        sample * 2**32 + step * masks + mask
        for sample, step in zip(noise.samples, steps, strict=True)
        for mask in range(masks)
    ]
    return Noise(noise.seed, image_ids, f"{noise.purpose}: in-fill", samples).to(noise.device)


def static_backgrounds(infill: Infill, images: torch.Tensor, batch_size: int) -> torch.Tensor:
    """Backgrounds (N, 3, H, W) of an in-filler that looks at no mask, computed once for each image."""
    return in_batches(lambda rows: infill(rows, torch.zeros_like(rows[:, :1])), images, batch_size=batch_size)


def grid_shape(images: torch.Tensor, grid: int | None) -> tuple[int, int]:
    """Cells of the mask for images (N, 3, H, W): `grid` along the height, as many to the pixel along the width."""
    height, width = images.shape[-2:]
    rows = max(1, round(height / PIXELS_PER_CELL)) if grid is None else grid
    columns = max(1, round(rows * width / height))
    if not 1 <= rows <= height:
        raise UserError(
            f"grid is {grid} and the images are {height} pixels high; use 1 to {height}, such as {height // 4}"
        )
    return rows, columns


def check_word(option: str, word: str, valid: Iterable[str]) -> None:
    """Raise UserError, with the nearest valid word, unless an option has one of its words."""
    valid = tuple(valid)
    if word not in valid:
        close = nearest(str(word), valid) or valid[0]
        raise UserError(f"{option} is {word!r}; use {close} (one of {', '.join(valid)})")
