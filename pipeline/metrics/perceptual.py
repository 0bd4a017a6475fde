"""Perceptual distance: how far apart two images are for the layers of a network."""

from collections.abc import Callable, Sequence

import torch

from pipeline.device import in_batches
from pipeline.metrics.features import device_of

SMALLEST_NORM = 1e-10


def perceptual_distance(
    network: torch.nn.Module,
    first: torch.Tensor,
    second: torch.Tensor,
    *,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> torch.Tensor:
    """Distance (N,), 0 or above, of images (N, 3, H, W) in [0, 1] to others, as Zhang et al. 2018 define LPIPS.

    network: see `pipeline.metrics.features`. Only with the published backbone and weights is this LPIPS; with any other
    network it is named after that network, and its values compare with no published ones.
    """
    if first.shape != second.shape:
        raise ValueError(f"images {tuple(first.shape)} and {tuple(second.shape)}; give the same shapes")

    def of_batch(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return layer_distance(network.layers(first), network.layers(second), network.weights)

    device = device_of(network)
    return in_batches(of_batch, first, second, batch_size=batch_size, device=device, progress=progress).double()


def layer_distance(
    first: Sequence[torch.Tensor], second: Sequence[torch.Tensor], weights: Sequence[torch.Tensor] | None = None
) -> torch.Tensor:
    """Distance (N,) of features, each a list of layers (N, C, h, w); weights: (C,) for each layer, None for 1.

    At each place the channels are scaled to length 1; their weighted squared differences are summed over the channels,
    averaged over the places, and summed over the layers.
    """
    total = torch.zeros(len(first[0]), device=first[0].device)
    for layer, (one, other) in enumerate(zip(first, second, strict=True)):
        squared = (unit(one) - unit(other)).square()
        weighted = squared if weights is None else squared * weights[layer].view(1, -1, 1, 1)
        total = total + weighted.sum(1).mean((1, 2))
    return total


def unit(features: torch.Tensor) -> torch.Tensor:
    """Features (N, C, h, w) whose channels have length 1 at each place; zeros stay zeros."""
    return features / (torch.linalg.vector_norm(features, dim=1, keepdim=True) + SMALLEST_NORM)
