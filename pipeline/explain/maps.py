"""What a method that explains by maps returns."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Maps:
    """The maps of N images, and what they cost.

    map: (N, h, w) float32, higher means more important; h and w are the resolution of the method itself.
    objective: (N,) the method's own objective at the end, lower is better; None for a method that optimises nothing.
    network_evaluations: (N,) int64, forward passes of the classifier for each image; one with its backward counts once.
    steps: (N,) int64, steps of optimisation taken; None for a method that takes none.
    """

    map: torch.Tensor
    objective: torch.Tensor | None
    network_evaluations: torch.Tensor
    steps: torch.Tensor | None
