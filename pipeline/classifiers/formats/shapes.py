"""What an exported network fixes about its input, and how images are brought to it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.classifiers.entry import Network
from pipeline.errors import UserError


@dataclass(frozen=True)
class InputShape:
    """The input of an exported network; None where any number will do."""

    channels: int | None
    height: int | None
    width: int | None
    fewest: int = 1
    """Images in the smallest batch that it takes."""
    most: int | None = None
    """Images in the largest."""


def settle(entry: Network, shape: InputShape) -> tuple[int | None, int]:
    """The size and channels to adapt images to: the network's own where fixed, else the entry's.

    Raises UserError where the two differ, or where the network wants images that are not square.
    """
    if shape.height != shape.width and None not in (shape.height, shape.width):
        raise UserError(
            f"classifier '{entry.name}': the network takes images of {shape.height} x {shape.width} pixels only,"
            " expected square ones; export it with a square or dynamic image size."
        )
    size, channels = shape.height or shape.width, shape.channels
    for option, fixed in (("size", size), ("channels", channels)):
        asked = getattr(entry, option)
        if fixed is not None and asked not in (None, fixed):
            raise UserError(
                f"classifier '{entry.name}': {option} is {asked}, but the network was exported for {fixed} only; give"
                f" `{option}: {fixed}` or leave it out (images are adapted), or export it again."
            )
    if channels not in (None, 1, 3):
        raise UserError(
            f"classifier '{entry.name}': the network takes {channels} channels, expected 1 or 3 as the second dimension"
            " of its input (N, C, H, W); export it so."
        )
    return size or entry.size, channels or entry.channels or 3


def in_allowed_batches(
    run: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, shape: InputShape
) -> torch.Tensor:
    """Run images (N, C, H, W) in batches that the network allows; short ones repeat their last image, then are cut."""
    most = shape.most or max(len(images), shape.fewest)
    outputs = []
    for chunk in images.split(most):
        lacking = max(0, shape.fewest - len(chunk))
        padded = torch.cat([chunk, chunk[-1:].expand(lacking, -1, -1, -1)]) if lacking else chunk
        outputs.append(run(padded)[: len(chunk)])
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)
