"""The diffusion autoencoder (DiffAE; Preechakul et al. 2022): an encoder to a code of meaning, and a U-Net told it.

One implementation for every width, under the parameter names of the official checkpoints, so that these load as they
are. What follows from a code is computed once per image, and what follows from a timestep once per step.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.diffusion.autoencoder_shape import AutoencoderShape
from pipeline.diffusion.blocks import (
    RESAMPLING,
    AttentionBlock,
    Embedded,
    Norm,
    ResidualBlock,
    scale_and_shift,
    timestep_embedding,
    zeroed,
)
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import encode_ddim, sample_ddim
from pipeline.diffusion.schedule import Schedule, respaced_by_stride
from pipeline.diffusion.topology import Levels

EMBEDDED = 512  # length of the embedding of a timestep, at every width


class Codes(NamedTuple):
    """What images are encoded to: semantic (N, 512), what they show; noise (N, C, H, W), the details left over."""

    semantic: Tensor
    noise: Tensor


class Told(NamedTuple):
    """What the blocks are told, a tensor for each: timing (N or 1, 2 C) of the step, scale (N, C) of the code."""

    timing: list[Tensor]
    scale: list[Tensor]


class ToldBlock(ResidualBlock):
    """A residual block whose second normalisation is scaled and shifted by the timestep, then scaled by the code.

    v = ((1 + a) norm(u) + b) (1 + s), with a and b linear in the timestep's embedding and s in the code (AdaGN): the
    code scales and does not shift. place: its number among such blocks.
    """

    def __init__(self, channels: int, semantic: int, dropout: float, out: int, resample: str | None, place: int):
        super().__init__(channels, EMBEDDED, dropout, out, resample)
        self.cond_emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(semantic, out))
        self.place = place

    def modulate(self, normalised: Tensor, embedding: Told) -> Tensor:
        """The normalised feature map, scaled and shifted."""
        scale, shift = embedding.timing[self.place].type(normalised.dtype)[:, :, None, None].chunk(2, dim=1)
        return scale_and_shift(normalised, scale, shift) * (
            1 + embedding.scale[self.place].type(normalised.dtype)[:, :, None, None]
        )


class PlainBlock(nn.Module):
    """One convolution beside a shortcut: what is left of a residual block that is told nothing."""

    def __init__(self, channels: int, out: int, resample: str | None):
        super().__init__()
        self.in_layers = nn.Sequential(Norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.skip_connection = nn.Identity() if out == channels else nn.Conv2d(channels, out, 1)
        self.resample = RESAMPLING[resample]

    def forward(self, inputs: Tensor) -> Tensor:
        normalise, activate, convolve = self.in_layers
        hidden = convolve(self.resample(activate(normalise(inputs))))
        return self.skip_connection(self.resample(inputs)) + hidden


class SemanticEncoder(nn.Module):
    """The code (N, semantic) of images (N, C, H, W) in [-1, 1]."""

    def __init__(self, shape: AutoencoderShape):
        super().__init__()
        levels = Levels(
            shape.size,
            shape.encoder_widths,
            shape.blocks,
            shape.attention,
            PlainBlock,
            lambda channels: AttentionBlock(channels, 1, "legacy"),
            nn.Sequential,
        )
        self.input_blocks, _ = levels.descending(shape.in_channels)
        self.middle_block = levels.middle()
        deepest = shape.encoder_widths[-1]
        self.out = nn.Sequential(
            Norm(deepest), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(deepest, shape.semantic, 1), nn.Flatten()
        )

    def forward(self, images: Tensor) -> Tensor:
        hidden = images
        for block in self.input_blocks:
            hidden = block(hidden)
        return self.out(self.middle_block(hidden))


class TimeEmbedding(nn.Module):
    """The embedding (N, 512) of timesteps (N,)."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels
        self.time_embed = nn.Sequential(nn.Linear(channels, EMBEDDED), nn.SiLU(), nn.Linear(EMBEDDED, EMBEDDED))

    def forward(self, timesteps: Tensor) -> Tensor:
        return self.time_embed(timestep_embedding(timesteps, self.channels).to(self.time_embed[0].weight))


class DiffusionAutoencoder(nn.Module):
    """Predicts, from images (N, C, H, W) in [-1, 1] at timesteps (N,) and their codes, the noise (N, C, H, W)."""

    def __init__(self, shape: AutoencoderShape):
        super().__init__()
        self.shape = shape
        self.time_embed = TimeEmbedding(shape.channels)
        self.told: list[ToldBlock] = []
        levels = Levels(
            shape.size,
            shape.widths,
            shape.blocks,
            shape.attention,
            self.told_block,
            lambda channels: AttentionBlock(channels, 1, "legacy"),
            Embedded,
        )
        self.input_blocks, skipped = levels.descending(shape.in_channels)
        self.middle_block = levels.middle()
        self.output_blocks = levels.ascending(skipped)
        channels = shape.widths[0]
        self.out = nn.Sequential(
            Norm(channels), nn.SiLU(), zeroed(nn.Conv2d(channels, shape.in_channels, 3, padding=1))
        )
        self.encoder = SemanticEncoder(shape)

    def told_block(self, channels: int, out: int, resample: str | None) -> ToldBlock:
        block = ToldBlock(channels, self.shape.semantic, self.shape.dropout, out, resample, len(self.told))
        self.told.append(block)
        return block

    def timing(self, timesteps: Tensor) -> list[Tensor]:
        """What each block is told of timesteps (N,): (N, 2 C) each."""
        embedding = self.time_embed(timesteps)
        return [block.emb_layers(embedding) for block in self.told]

    def scales(self, semantic: Tensor) -> list[Tensor]:
        """What each block is told of codes (N, semantic): (N, C) each."""
        return [block.cond_emb_layers(semantic) for block in self.told]

    def forward(self, images: Tensor, timesteps: Tensor, semantic: Tensor) -> Tensor:
        """images: noised; timesteps: of the full schedule; semantic: codes (N, semantic)."""
        return self.predict(images, Told(self.timing(timesteps), self.scales(semantic)))

    def predict(self, images: Tensor, told: Told) -> Tensor:
        """`forward` from what the blocks are told, which need not be computed anew at every step."""
        hidden, skipped = images, []
        for block in self.input_blocks:
            hidden = block(hidden, told)
            skipped.append(hidden)
        hidden = self.middle_block(hidden, told)
        for block in self.output_blocks:
            hidden = block(torch.cat([hidden, skipped.pop()], dim=1), told)
        return self.out(hidden)


@dataclass(frozen=True)
class Conditioned:
    """The U-Net that was told codes, for images at one timestep at a time: a network as `Denoiser` asks for it."""

    network: DiffusionAutoencoder
    scales: list[Tensor]

    def __call__(self, images: Tensor, timesteps: Tensor) -> Tensor:
        """The noise in images (N, C, H, W), all of which are at the first of the timesteps (N,)."""
        return self.network.predict(images, Told(self.network.timing(timesteps[:1]), self.scales))


def conditioned(
    network: DiffusionAutoencoder, semantic: Tensor, schedule: Schedule, predicts: str = "noise"
) -> Denoiser:
    """A denoiser of images with codes (N, semantic), in their order, on a schedule."""
    return Denoiser(Conditioned(network, network.scales(semantic)), schedule, predicts)


@torch.no_grad()
def encode(network: DiffusionAutoencoder, images: Tensor, schedule: Schedule, predicts: str = "noise") -> Codes:
    """Codes of images (N, C, H, W) in [-1, 1]: the encoder once, and the U-Net once for each step of the schedule.

    The noise is what DDIM backwards leads to, see `encode_ddim`. schedule: at a whole stride, see `respaced_by_stride`.
    """
    semantic = network.encoder(images)
    denoiser = conditioned(network, semantic, schedule, predicts)
    return Codes(semantic, encode_ddim(denoiser, images, clip=True))


@torch.no_grad()
def decode(network: DiffusionAutoencoder, codes: Codes, schedule: Schedule, predicts: str = "noise") -> Tensor:
    """Images (N, C, H, W) in [-1, 1] of codes: the U-Net once for each step of the schedule."""
    return sample_ddim(conditioned(network, codes.semantic, schedule, predicts), codes.noise, clip=True)


@dataclass(frozen=True)
class Autoencoder:
    """A network on the schedule that it was trained on, for images in [0, 1]."""

    network: DiffusionAutoencoder
    schedule: Schedule
    predicts: str = "noise"

    @property
    def size(self) -> int:
        """Side of its images in pixels."""
        return self.network.shape.size

    def encode(self, images: Tensor, steps: int) -> Codes:
        """Codes of images (N, C, H, W) in [0, 1]. Raises UserError for steps that no whole stride gives."""
        return encode(self.network, images * 2 - 1, respaced_by_stride(self.schedule, steps), self.predicts)

    def decode(self, codes: Codes, steps: int) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of codes. Raises UserError for steps that no whole stride gives."""
        return (decode(self.network, codes, respaced_by_stride(self.schedule, steps), self.predicts) + 1) / 2
