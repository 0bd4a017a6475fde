"""What decides the parameters of a network of guided diffusion, and the published ones. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pydantic import Field

from pipeline.errors import UserError, nearest
from pipeline.section import Section, Share


@dataclass(frozen=True)
class Shape:
    """What decides the parameters of a network.

    size: side of its images in pixels. channels: of the first level times its multiplier. multipliers: by level, each
    half the side of the one before. blocks: residual blocks of a level. attention: sides of the feature maps with
    attention. head_channels: of each attention head; `heads` instead where their number is fixed. classes: of a
    class-conditional network. out_channels: 6 for noise and variance of colour images. order: see AttentionBlock.
    """

    size: int
    channels: int
    multipliers: tuple[float, ...]
    blocks: int = 2
    attention: tuple[int, ...] = (32, 16, 8)
    head_channels: int | None = 64
    heads: int | None = None
    classes: int | None = None
    dropout: float = 0.0
    in_channels: int = 3
    out_channels: int = 6
    order: str = "legacy"

    def __post_init__(self) -> None:
        side = self.size // 2 ** (len(self.multipliers) - 1)
        if side < 1 or side * 2 ** (len(self.multipliers) - 1) != self.size:
            raise UserError(
                f"size is {self.size} with {len(self.multipliers)} levels; use a size that can be halved"
                f" {len(self.multipliers) - 1} times, such as {max(1, side) * 2 ** (len(self.multipliers) - 1)}"
            )
        narrow = [channels for channels in whole(self.multipliers, self.channels) if channels % 32]
        if narrow:
            raise UserError(
                f"channels {self.channels} times multipliers {list(self.multipliers)} gives {narrow[0]};"
                " every level needs a multiple of 32, such as channels: 32 with multipliers: [1, 2, 3]"
            )
        if (self.head_channels is None) == (self.heads is None):
            raise UserError("give head_channels, such as 64, or heads, such as 4, and not both")
        if self.order not in ("legacy", "new"):
            raise UserError(f"order is {self.order!r}; use legacy or new")

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Shape:
        """The shape of options as JSON holds them: a preset of SHAPES by `preset`, or all fields, or both."""
        options = dict(options)
        preset = options.pop("preset", None)
        for given, other in (("heads", "head_channels"), ("head_channels", "heads")):
            if options.get(given) is not None:
                options.setdefault(other, None)
        options = {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
        if preset is None:
            return cls(**options)
        if preset not in SHAPES:
            close = nearest(str(preset), SHAPES) or next(iter(SHAPES))
            raise UserError(f"there is no network {preset!r}; use {close} (one of {', '.join(SHAPES)})")
        return replace(SHAPES[preset], **options)

    def to_options(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def heads_at(self, channels: int) -> int:
        """The number of attention heads of a level of so many channels."""
        return self.heads or max(1, channels // self.head_channels)


def whole(multipliers: Sequence[float], channels: int) -> list[int]:
    """Channels of each level; the published 512 pixel network begins with half of them."""
    return [round(multiplier * channels) for multiplier in multipliers]


SHAPES = {
    "imagenet-256": Shape(256, 256, (1, 1, 2, 2, 4, 4)),
    "imagenet-256-conditional": Shape(256, 256, (1, 1, 2, 2, 4, 4), classes=1000),
    "imagenet-128-conditional": Shape(128, 256, (1, 1, 2, 3, 4), head_channels=None, heads=4, classes=1000),
    "imagenet-64-conditional": Shape(64, 192, (1, 2, 3, 4), blocks=3, dropout=0.1, classes=1000, order="new"),
    "imagenet-512-conditional": Shape(512, 256, (0.5, 1, 1, 2, 2, 4, 4), classes=1000),
    "lsun-256": Shape(256, 256, (1, 1, 2, 2, 4, 4), dropout=0.1),
    "celeba-128": Shape(128, 128, (1, 1, 2, 3, 4), head_channels=None, heads=4),
    "imagenet-256-classifier": Shape(256, 128, (1, 1, 2, 2, 4, 4), out_channels=1000),
    "imagenet-64-classifier": Shape(64, 128, (1, 2, 3, 4), blocks=4, out_channels=1000),
}
"""The published networks: ImageNet and LSUN (Dhariwal & Nichol 2021), CelebA (DiME, Jeanneret et al. 2022)."""
Preset = Literal[*SHAPES]


class GeneratorShape(Section):
    """What decides the parameters of a U-Net of guided diffusion (Dhariwal & Nichol 2021), at any width."""

    size: int | None = Field(None, ge=4, description="Side of the images in pixels; of a recipe, that of its dataset.")
    channels: int | None = Field(None, ge=32, description="Channels of a level whose multiplier is 1.")
    multipliers: list[float] | None = Field(
        None, min_length=1, description="Channels of each level, as multiples; each level has half the side."
    )
    blocks: int | None = Field(None, ge=1, description="Residual blocks of a level; 2 if nothing is said.")
    attention: list[int] | None = Field(
        None, description="Sides of the feature maps with attention; 32, 16 and 8 if nothing is said."
    )
    head_channels: int | None = Field(None, ge=1, description="Channels of an attention head; 64 if nothing is said.")
    heads: int | None = Field(None, ge=1, description="Number of attention heads, in place of `head_channels`.")
    classes: int | None = Field(None, ge=2, description="Number of classes of a class-conditional model.")
    dropout: Share | None = Field(None, description="Share of features left out in training; none if nothing is said.")
    out_channels: int | None = Field(
        None,
        ge=1,
        description="3 for the prediction, 6 (if nothing is said) with its variance; of a noisy classifier"
        " its classes.",
    )
    order: Literal["legacy", "new"] | None = Field(
        None, description="Layout of the attention: `new` in the official networks of 64 pixels, else `legacy`."
    )
