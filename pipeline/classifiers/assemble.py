"""A classifier from a loaded network, what its format says about it, and what the entry says."""

from collections.abc import Mapping, Sequence

import torch

from pipeline.classifiers.entry import Network
from pipeline.classifiers.wrap import Classifier


def assemble(
    entry: Network,
    network: torch.nn.Module,
    heads: Mapping[str, Sequence[str]],
    *,
    size: int | None = None,
    channels: int | None = None,
    mean: float | Sequence[float] = 0.0,
    std: float | Sequence[float] = 1.0,
    temperature: float | Mapping[str, float] = 1.0,
    differentiable: bool = True,
) -> Classifier:
    """Put the contract around a network; where the entry gives an option, it wins over the format's own."""
    return Classifier(
        network,
        name=entry.name,
        heads=heads,
        size=size if entry.size is None else entry.size,
        channels=entry.channels or channels or 3,
        mean=mean if entry.mean is None else entry.mean,
        std=std if entry.std is None else entry.std,
        temperature=entry.temperature or temperature,
        sigmoid=entry.sigmoid,
        probabilities=entry.output == "probabilities",
        differentiable=differentiable and entry.differentiable,
    )
