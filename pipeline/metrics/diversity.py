"""Diversity: how different are the counterfactuals that a method makes of one image with different noise?"""

from collections.abc import Sequence
from itertools import combinations

import torch

from pipeline.device import in_batches
from pipeline.metrics.features import device_of
from pipeline.metrics.perceptual import layer_distance


def diversity(
    network: torch.nn.Module, samples: torch.Tensor, image_ids: Sequence[str], *, batch_size: int = 4
) -> dict[str, float]:
    """Mean perceptual distance of all pairs of samples of each image: the sigma_L of Jeanneret et al. 2022.

    samples: counterfactuals (M, 3, H, W) in [0, 1]; image_ids: whose they are (M,). Returns {image: distance}; images
    with one sample alone have no pairs and are left out. network: see `pipeline.metrics.features`.
    """
    rows_of: dict[str, list[int]] = {}
    for row, image_id in zip(range(len(samples)), image_ids, strict=True):
        rows_of.setdefault(image_id, []).append(row)
    return {
        image_id: mean_pairwise_distance(network, samples[rows], batch_size)
        for image_id, rows in rows_of.items()
        if len(rows) > 1
    }


def mean_pairwise_distance(network: torch.nn.Module, samples: torch.Tensor, batch_size: int) -> float:
    """Mean perceptual distance of all pairs of S samples (S, 3, H, W), at S passes through the network."""
    with torch.no_grad():
        layers = in_batches(network.layers, samples, batch_size=batch_size, device=device_of(network))
        first, second = torch.tensor(list(combinations(range(len(samples)), 2))).T
        weights = network.weights and [weight.to(samples.device) for weight in network.weights]
        distances = layer_distance([layer[first] for layer in layers], [layer[second] for layer in layers], weights)
    return float(distances.double().mean())
