"""Classifiers whose evidence is known: it is planted in one patch, or they are small real networks."""

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.noise import Noise

SIDE = 16
PATCH = (slice(8, 12), slice(4, 8))


class PatchReader(torch.nn.Module):
    """Log-odds of class 1 are `evidence` for a white patch and 0 for a black one; nothing else is read."""

    def __init__(self, evidence: float = 4.0):
        super().__init__()
        self.evidence = evidence

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        seen = images[:, :, PATCH[0], PATCH[1]].mean(dim=(1, 2, 3)) * self.evidence
        return torch.stack([-seen / 2, seen / 2], dim=1)


def patch_classifier(evidence: float = 4.0) -> Classifier:
    return Classifier(PatchReader(evidence), name="patch", heads={"patch": ["black", "white"]})


def conv_classifier() -> Classifier:
    """A small real convolutional network with three classes, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 3, padding=1),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(inplace=True),
            torch.nn.Conv2d(8, 8, 3, stride=2),
            torch.nn.GELU(),
            torch.nn.AdaptiveAvgPool2d(2),
            torch.nn.Conv2d(8, 3, 2),  # no linear layer: products of few rows and columns round each row differently
            torch.nn.Flatten(),
        )
        network[-2].weight.data.mul_(20)
    return Classifier(network, name="conv", heads={"kind": ["a", "b", "c"]})


def white_images(rows: int = 2) -> torch.Tensor:
    return torch.ones(rows, 3, SIDE, SIDE)


def random_images(rows: int) -> torch.Tensor:
    return torch.rand(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def named_noise(rows: int, purpose: str) -> Noise:
    return Noise(11, [f"image-{row}" for row in range(rows)], purpose)


def in_patch(cells: int) -> torch.Tensor:
    """bool (cells, cells): which cells of a grid over the image lie in the patch."""
    mask = torch.zeros(SIDE, SIDE)
    mask[PATCH] = 1
    return torch.nn.functional.adaptive_avg_pool2d(mask[None], cells)[0] == 1


def around(cells: torch.Tensor) -> torch.Tensor:
    """bool (h, w): those cells and all that touch them, whose bilinear weights reach into them."""
    return torch.nn.functional.max_pool2d(cells[None].float(), 3, stride=1, padding=1)[0] == 1
