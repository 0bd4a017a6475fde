"""The U-Net of guided diffusion (ADM; Dhariwal & Nichol 2021) and its encoder as a classifier of noisy images.

One implementation for every width: the official checkpoints load into it as they are, and so do small ones.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.diffusion.blocks import (
    AttentionBlock,
    AttentionPool,
    Embedded,
    Norm,
    ResidualBlock,
    timestep_embedding,
    whole,
    zeroed,
)
from pipeline.errors import UserError, nearest


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
    def from_options(cls, options: dict[str, Any]) -> "Shape":
        """The shape of options as JSON holds them: a preset of SHAPES by `preset`, or all fields, or both."""
        options = dict(options)
        preset = options.pop("preset", None)
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

    def attention_block(self, channels: int) -> AttentionBlock:
        heads = self.heads or max(1, channels // self.head_channels)
        return AttentionBlock(channels, heads, self.order)


class Encoder(nn.Module):
    """The descending half, which U-Net and classifier share; it fills input_blocks and middle_block of its owner."""

    def __init__(self, shape: Shape):
        super().__init__()
        embedded = 4 * shape.channels
        self.shape = shape
        self.time_embed = nn.Sequential(nn.Linear(shape.channels, embedded), nn.SiLU(), nn.Linear(embedded, embedded))
        widths = whole(shape.multipliers, shape.channels)
        channels, side = widths[0], shape.size
        self.input_blocks = nn.ModuleList([Embedded(nn.Conv2d(shape.in_channels, channels, 3, padding=1))])
        self.skipped = [channels]
        for level, width in enumerate(widths):
            for _ in range(shape.blocks):
                layers: list[nn.Module] = [ResidualBlock(channels, embedded, shape.dropout, width)]
                channels = width
                if side in shape.attention:
                    layers.append(shape.attention_block(channels))
                self.input_blocks.append(Embedded(*layers))
                self.skipped.append(channels)
            if level < len(widths) - 1:
                self.input_blocks.append(Embedded(ResidualBlock(channels, embedded, shape.dropout, resample="down")))
                self.skipped.append(channels)
                side //= 2
        self.middle_block = Embedded(
            ResidualBlock(channels, embedded, shape.dropout),
            shape.attention_block(channels),
            ResidualBlock(channels, embedded, shape.dropout),
        )
        self.deepest = channels

    def recompute(self, where: str) -> None:
        """Recompute in the backward pass what is named instead of keeping it: "nothing", "attention" or "blocks"."""
        kinds = {"nothing": (), "attention": (AttentionBlock,), "blocks": (AttentionBlock, ResidualBlock)}
        if where not in kinds:
            raise UserError(f"recompute is {where!r}; use {nearest(where, kinds) or 'nothing'} ({', '.join(kinds)})")
        for module in self.modules():
            if isinstance(module, AttentionBlock | ResidualBlock):
                module.recomputed = isinstance(module, kinds[where])

    def embed(self, timesteps: Tensor, like: Tensor) -> Tensor:
        """The embedding (N, 4 * channels) of timesteps (N,)."""
        return self.time_embed(timestep_embedding(timesteps, self.shape.channels).to(self.time_embed[0].weight))

    def descend(self, images: Tensor, embedding: Tensor) -> Iterator[Tensor]:
        """Every feature map on the way down, then that of the middle."""
        hidden = images
        for block in self.input_blocks:
            hidden = block(hidden, embedding)
            yield hidden
        yield self.middle_block(hidden, embedding)


class UNet(Encoder):
    """Predicts, from images (N, 3, H, W) in [-1, 1] at timesteps (N,), noise and variance (N, out_channels, H, W)."""

    def __init__(self, shape: Shape):
        super().__init__(shape)
        embedded = 4 * shape.channels
        if shape.classes is not None:
            self.label_emb = nn.Embedding(shape.classes, embedded)
        widths, skipped = whole(shape.multipliers, shape.channels), list(self.skipped)
        channels, side = self.deepest, shape.size // 2 ** (len(widths) - 1)
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for index in range(shape.blocks + 1):
                layers: list[nn.Module] = [ResidualBlock(channels + skipped.pop(), embedded, shape.dropout, width)]
                channels = width
                if side in shape.attention:
                    layers.append(shape.attention_block(channels))
                if level and index == shape.blocks:
                    layers.append(ResidualBlock(channels, embedded, shape.dropout, resample="up"))
                    side *= 2
                self.output_blocks.append(Embedded(*layers))
        self.out = nn.Sequential(
            Norm(channels), nn.SiLU(), zeroed(nn.Conv2d(channels, shape.out_channels, 3, padding=1))
        )

    def forward(self, images: Tensor, timesteps: Tensor, classes: Tensor | None = None) -> Tensor:
        """images: (N, C, H, W), noised; timesteps: (N,), of the full schedule; classes: (N,) where conditional."""
        embedding = self.embed(timesteps, images)
        if (classes is not None) != (self.shape.classes is not None):
            raise ValueError("classes are given to a network without them, or missing for one that needs them")
        if classes is not None:
            embedding = embedding + self.label_emb(classes)
        *skipped, hidden = self.descend(images, embedding)
        for block in self.output_blocks:
            hidden = block(torch.cat([hidden, skipped.pop()], dim=1), embedding)
        return self.out(hidden)


class NoisyClassifier(Encoder):
    """Classes of noisy images (N, 3, H, W) in [-1, 1] at timesteps (N,): logits (N, out_channels)."""

    def __init__(self, shape: Shape):
        super().__init__(shape)
        side = shape.size // 2 ** (len(shape.multipliers) - 1)
        head_channels = shape.head_channels or self.deepest // shape.heads
        pool = AttentionPool(side, self.deepest, min(head_channels, self.deepest), shape.out_channels)
        self.out = nn.Sequential(Norm(self.deepest), nn.SiLU(), pool)

    def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
        *_, hidden = self.descend(images, self.embed(timesteps, images))
        return self.out(hidden)


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
