"""Autoencoders and classifiers whose true directions are known: in closed form, and one of the real kind."""

import torch

from pipeline.diffusion.autoencoder import Codes

LENGTH, SIDE = 12, 8


def orthonormal(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    drawn = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.linalg.qr(drawn).Q.float()


PATTERNS = orthonormal(3 * SIDE * SIDE, LENGTH)
"""What each number of a code adds to an image, (pixels, length): so that a code can be read off its image again."""


def paint(codes: Codes) -> torch.Tensor:
    """Images (N, 3, 8, 8), about 0.5: each number of the code times its pattern, and a tenth of the noise."""
    painted = (codes.semantic @ PATTERNS.T).unflatten(1, (3, SIDE, SIDE))
    return 0.5 + 0.1 * painted + 0.01 * codes.noise


def codes_of(images: torch.Tensor) -> torch.Tensor:
    return (images - 0.5).flatten(1) @ PATTERNS * 10


def reader(score) -> "callable":
    """A black box of two classes: log-odds of class 1 are a score of the code (N, length) that an image shows."""

    def query(images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            evidence = score(codes_of(images))
        return torch.stack([-evidence / 2, evidence / 2], dim=1)

    return query


def source(noise: float = 0.0) -> Codes:
    generator = torch.Generator().manual_seed(3)
    semantic, drawn = torch.randn(1, LENGTH, generator=generator), torch.randn(1, 3, SIDE, SIDE, generator=generator)
    return Codes(0.3 * semantic, noise * drawn)


def far_from(image: torch.Tensor):
    """A distance of images from one (3, H, W), between 0 and 1."""
    return lambda images: 1 - torch.exp(-(images - image).square().flatten(1).sum(1))


def cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(first.double(), second.double(), dim=0))
