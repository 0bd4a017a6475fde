"""Bilinear, antialiased resizing whose gradient is the same on every run, on every device."""

from functools import lru_cache

import torch


@lru_cache(maxsize=64)
def resize_matrix(length: int, new_length: int) -> torch.Tensor:
    """The weights (new_length, length) by which torch's antialiased bilinear resizing mixes a line of pixels."""
    with torch.inference_mode(False), torch.no_grad():
        unit_columns = torch.eye(length)[None, None]
        mixed = torch.nn.functional.interpolate(
            unit_columns, size=(new_length, length), mode="bilinear", antialias=True
        )
        return mixed[0, 0]


def resize(images: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Resize images (N, C, H, W) to `size` (one number, or height and width) as `interpolate(antialias=True)` does.

    Images that have the size already are returned as they are. Resizing is linear and separable, so it is done as two
    matrix products: their backward pass is deterministic on a GPU, where that of `interpolate` adds in random order.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if images.shape[-2:] == (height, width):
        return images
    with torch.autocast(images.device.type, enabled=False):
        rows = resize_matrix(images.shape[-2], height).to(images)
        columns = resize_matrix(images.shape[-1], width).to(images)
        return rows @ (images @ columns.T)
