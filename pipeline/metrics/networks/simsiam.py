"""The SimSiam encoder of S3, from the official training checkpoint (Chen & He 2021; batch size 256, ResNet-50)."""

from pathlib import Path

import torch
from torch.nn import BatchNorm1d, Linear, ReLU

from pipeline.errors import UserError
from pipeline.metrics.networks.files import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    fitted,
    part_of,
    per_channel,
    read_weights,
)
from pipeline.metrics.networks.resnet import bottleneck_resnet


def load_simsiam(path: str | Path, *, sha256: str | None = None) -> "SimSiam":
    """The encoder with its projector, as Jeanneret et al. 2023 use it, from a local file (checkpoint_0099.pth.tar).

    Depths and widths are read from the file. Raises UserError for a missing, altered or unsuitable file.
    """
    state = part_of("simsiam", path, read_weights("simsiam", path, sha256), "encoder.", ["predictor."])
    try:
        encoder = build_encoder(state)
    except (KeyError, ValueError) as error:
        raise UserError(
            f"network 'simsiam': {path} holds no ResNet with a projector; get the official checkpoint of pre-training,"
            " not the one of the linear classifier."
        ) from error
    return SimSiam(fitted("simsiam", path, encoder, state))


class SimSiam(torch.nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> projected features (N, D), at the size that the images have."""

    name = "simsiam"

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", per_channel(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", per_channel(IMAGENET_STD), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.encoder((images - self.mean) / self.std)


def build_encoder(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A ResNet and a three-layer projector of the depths and widths that the weights have."""
    encoder = bottleneck_resnet(state)
    first, second, last = (state[f"fc.{layer}.weight"].shape for layer in (0, 3, 6))
    encoder.fc = torch.nn.Sequential(
        Linear(first[1], first[0], bias=False),
        BatchNorm1d(first[0]),
        ReLU(),
        Linear(second[1], second[0], bias=False),
        BatchNorm1d(second[0]),
        ReLU(),
        Linear(last[1], last[0]),
        BatchNorm1d(last[0], affine=False),
    )
    return encoder
