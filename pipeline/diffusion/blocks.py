"""What the networks of guided diffusion are built from (Dhariwal & Nichol 2021), under the names of its official code.

Every module has the parameter names of the published checkpoints, so that these load without conversion.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

GROUPS = 32


def timestep_embedding(timesteps: Tensor, channels: int) -> Tensor:
    """Cosines and sines (N, channels) of timesteps (N,), which may lie between whole numbers."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=timesteps.device) / half)
    angles = timesteps[:, None].float() * frequencies
    embedding = torch.cat([angles.cos(), angles.sin()], dim=1)
    return functional.pad(embedding, (0, channels % 2))


class Norm(nn.GroupNorm):
    """Group normalisation of 32 groups, computed in float32 whatever the precision around it."""

    def __init__(self, channels: int):
        super().__init__(GROUPS, channels)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.float()).type(inputs.dtype)


class ResidualBlock(nn.Module):
    """Two convolutions; the embedding scales and shifts the second normalisation. resample: "up", "down" or nothing."""

    def __init__(
        self, channels: int, embedded: int, dropout: float, out_channels: int | None = None, resample: str | None = None
    ):
        super().__init__()
        out = out_channels or channels
        self.in_layers = nn.Sequential(Norm(channels), nn.SiLU(), nn.Conv2d(channels, out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedded, 2 * out))
        self.out_layers = nn.Sequential(
            Norm(out), nn.SiLU(), nn.Dropout(dropout), zeroed(nn.Conv2d(out, out, 3, padding=1))
        )
        self.skip_connection = nn.Identity() if out == channels else nn.Conv2d(channels, out, 1)
        self.resample = RESAMPLING[resample]
        self.recomputed = False

    def forward(self, inputs: Tensor, embedding: Tensor) -> Tensor:
        return maybe_recomputed(self._forward, self.recomputed, inputs, embedding)

    def _forward(self, inputs: Tensor, embedding: Tensor) -> Tensor:
        normalise, activate, convolve = self.in_layers
        hidden = convolve(self.resample(activate(normalise(inputs))))
        hidden = self.modulate(self.out_layers[0](hidden), embedding)
        return self.skip_connection(self.resample(inputs)) + self.out_layers[1:](hidden)

    def modulate(self, normalised: Tensor, embedding: Tensor) -> Tensor:
        """What the embedding makes of the normalised feature map."""
        scale, shift = self.emb_layers(embedding).type(normalised.dtype)[:, :, None, None].chunk(2, dim=1)
        return scale_and_shift(normalised, scale, shift)


class AttentionBlock(nn.Module):
    """Self-attention over all positions of a feature map.

    order: how the rows of `qkv` are laid out: "legacy" holds q, k and v head by head (every official checkpoint but
    that of 64 pixels), "new" all of q, then k, then v.
    """

    def __init__(self, channels: int, heads: int, order: str):
        super().__init__()
        self.norm = Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = zeroed(nn.Conv1d(channels, channels, 1))
        self.heads, self.order = heads, order
        self.recomputed = False

    def forward(self, inputs: Tensor) -> Tensor:
        return maybe_recomputed(self._forward, self.recomputed, inputs)

    def _forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(2)
        attended = attend(self.qkv(self.norm(flat)), self.heads, self.order)
        return (flat + self.proj_out(attended)).view_as(inputs)


class AttentionPool(nn.Module):
    """One feature vector from a map by attention of its mean to all positions (Radford et al. 2021)."""

    def __init__(self, side: int, channels: int, head_channels: int, out_channels: int):
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.randn(channels, side**2 + 1) / channels**0.5)
        self.qkv_proj = nn.Conv1d(channels, 3 * channels, 1)
        self.c_proj = nn.Conv1d(channels, out_channels, 1)
        self.heads = channels // head_channels

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(2)
        flat = torch.cat([flat.mean(dim=2, keepdim=True), flat], dim=2) + self.positional_embedding.to(flat.dtype)
        return self.c_proj(attend(self.qkv_proj(flat), self.heads, "new"))[:, :, 0]


class Embedded(nn.Sequential):
    """Layers in a row, of which residual blocks also take the embedding."""

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        for layer in self:
            hidden = layer(hidden, embedding) if isinstance(layer, ResidualBlock) else layer(hidden)
        return hidden


def attend(qkv: Tensor, heads: int, order: str) -> Tensor:
    """Attention (N, C, L) from queries, keys and values (N, 3C, L)."""
    batch, width, length = qkv.shape
    channels, part = width // 3 // heads, 2 if order == "legacy" else 1
    split = qkv.view(batch, *((heads, 3) if order == "legacy" else (3, heads)), channels, length)
    together = split.transpose(3, 4).contiguous()  # the products are up to three times slower on a transposed view
    attended = functional.scaled_dot_product_attention(*together.unbind(part))
    return attended.transpose(2, 3).reshape(batch, -1, length)


def scale_and_shift(inputs: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """inputs (N, C, H, W) times 1 + scale, plus shift (N, C, 1, 1).

    Added in place, one array fewer is written; as one `addcmul` over the broadcast shift it is slower on small maps.
    """
    return (inputs * (1 + scale)).add_(shift)


def zeroed(module: nn.Module) -> nn.Module:
    """The module with all its parameters at 0, so that a block begins as the identity."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def maybe_recomputed(function: Callable[..., Tensor], recomputed: bool, *inputs: Tensor) -> Tensor:
    """The function of the inputs; recomputed in the backward pass, which saves the memory of what lies within."""
    if recomputed and torch.is_grad_enabled():
        return checkpoint(function, *inputs, use_reentrant=False)
    return function(*inputs)


def double(inputs: Tensor) -> Tensor:
    return functional.interpolate(inputs, scale_factor=2, mode="nearest")


def halve(inputs: Tensor) -> Tensor:
    return functional.avg_pool2d(inputs, 2)


RESAMPLING: dict[str | None, Callable[[Tensor], Tensor]] = {None: lambda inputs: inputs, "up": double, "down": halve}
