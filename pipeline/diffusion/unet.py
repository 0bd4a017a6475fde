"""The U-Net of guided diffusion (ADM; Dhariwal & Nichol 2021) and its encoder as a classifier of noisy images.

One implementation for every width: the official checkpoints load into it as they are, and so do small ones.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from pipeline.diffusion.blocks import (
    AttentionBlock,
    AttentionPool,
    Embedded,
    Norm,
    ResidualBlock,
    timestep_embedding,
    zeroed,
)
from pipeline.diffusion.topology import Levels
from pipeline.errors import UserError, nearest
from pipeline.unet_shape import Shape, whole


class Encoder(nn.Module):
    """The descending half, which U-Net and classifier share; it fills input_blocks and middle_block of its owner."""

    def __init__(self, shape: Shape):
        super().__init__()
        embedded = 4 * shape.channels
        self.shape = shape
        self.time_embed = nn.Sequential(nn.Linear(shape.channels, embedded), nn.SiLU(), nn.Linear(embedded, embedded))
        self.levels = Levels(
            shape.size,
            whole(shape.multipliers, shape.channels),
            shape.blocks,
            shape.attention,
            lambda channels, out, resample: ResidualBlock(channels, embedded, shape.dropout, out, resample),
            lambda channels: AttentionBlock(channels, shape.heads_at(channels), shape.order),
            Embedded,
        )
        self.input_blocks, self.skipped = self.levels.descending(shape.in_channels)
        self.middle_block = self.levels.middle()
        self.deepest = self.levels.widths[-1]

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
        self.output_blocks = self.levels.ascending(self.skipped)
        channels = self.levels.widths[0]
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
    """Classes of noisy images (N, 3, H, W) in [-1, 1] at timesteps (N,): logits (N, out_channels).

    classes: their names in the order of the logits, where they are known.
    """

    classes: tuple[str, ...] | None = None

    def __init__(self, shape: Shape):
        super().__init__(shape)
        side = shape.size // 2 ** (len(shape.multipliers) - 1)
        head_channels = shape.head_channels or self.deepest // shape.heads
        pool = AttentionPool(side, self.deepest, min(head_channels, self.deepest), shape.out_channels)
        self.out = nn.Sequential(Norm(self.deepest), nn.SiLU(), pool)

    def forward(self, images: Tensor, timesteps: Tensor) -> Tensor:
        *_, hidden = self.descend(images, self.embed(timesteps, images))
        return self.out(hidden)
