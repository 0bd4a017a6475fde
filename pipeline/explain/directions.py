"""Global directions: of one score of codes, its gradient (g) and the axes of its curvature (h; Sobieski & Biecek 2024).

A direction is a vector of length 1; it is followed by `t` standard deviations of the codes along it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.classifiers.wrap import log_odds
from pipeline.errors import UserError
from pipeline.explain.probes import Look
from pipeline.explain.proxy import Proxy
from pipeline.noise import Noise

BALANCES = ((1.0, 0.0), (0.05, 1.0))
"""Weights of evidence and of closeness in the objectives of the two g-directions, as published."""


class NoDirection(UserError):
    """There is none to be found around this source with these images; nothing that another attempt would change."""


KINDS = ("g", "h", "random", "mean-difference", "linear")

Score = Callable[[Tensor], Tensor]
"""Takes offsets (N, L) from the source's code; returns a number (N,) to be raised, in which rows are independent."""


@dataclass(frozen=True)
class Direction:
    """Where to move codes.

    vector: (L,) float32 of length 1. kind: one of KINDS. rank: from 0, by how much it matters. sign: of an h-direction,
    1 or -1: which way along its axis; 1 of all others. eigenvalue: of an h-direction, the curvature of the score along
    it.
    """

    vector: Tensor
    kind: str
    rank: int
    sign: int = 1
    eigenvalue: float | None = None


@dataclass(frozen=True)
class Around:
    """What is known where a direction is looked for: a source image, and other images of the same kind.

    Functions of the family "directions" take it, and `noise`: given numbers, a row for each, that of the source image.
    They return directions, the most promising first.

    look: at codes around that of the source. semantic: (N, L) codes of all images, logits: (N, K) what the classifier
    says of them. source: which of them is the source. target: the class to lead to. labels: (N,) the true class of
    each, -1 where it is not known; None where no image has one.
    """

    look: Look
    semantic: Tensor
    logits: Tensor
    source: int
    target: int
    labels: Tensor | None = None

    @property
    def origin(self) -> int:
        """The class that the source is taken for."""
        return int(self.logits[self.source].argmax())


NoiseOf = Callable[[Sequence[int]], Noise]


def gradient_direction(score: Score, length: int, rank: int = 0) -> Direction:
    """The direction in which the score rises fastest from offset 0. Raises NoDirection where it does not change."""
    with torch.enable_grad():
        offset = torch.zeros(1, length, requires_grad=True)
        (slope,) = torch.autograd.grad(score(offset).sum(), offset)
    return Direction(unit_vector(slope[0]), "g", rank)


def curvature_directions(hessian: Tensor, count: int) -> list[Direction]:
    """Both ways along the `count` axes (L,) of a Hessian (L, L) with the largest curvature, whatever its sign.

    An axis has no sign of its own: that of its largest component is positive, then comes the other way.
    """
    if not 1 <= count <= len(hessian):
        raise UserError(f"{count} h-directions of a code of {len(hessian)} numbers; use 1 to {len(hessian)}, such as 6")
    symmetric = (hessian + hessian.T).double() / 2
    eigenvalues, axes = torch.linalg.eigh(symmetric)
    order = eigenvalues.abs().argsort(descending=True, stable=True)[:count]
    found = []
    for rank, index in enumerate(order.tolist()):
        axis = unit_vector(axes[:, index].float())
        axis = axis * torch.sign(axis[axis.abs().argmax()])
        found += [Direction(sign * axis, "h", rank, sign, float(eigenvalues[index])) for sign in (1, -1)]
    return found


def score_hessian(score: Score, length: int) -> Tensor:
    """The Hessian (length, length) of a score at offset 0."""
    with torch.enable_grad():
        return torch.autograd.functional.hessian(lambda offset: score(offset[None])[0], torch.zeros(length))


def proxy_score(proxy: Proxy, target: int, balance: tuple[float, float] = BALANCES[0]) -> Score:
    """The evidence for the target less the distance from the source, each with its weight, as a proxy sees them."""
    evidence, closeness = balance

    def score(offsets: Tensor) -> Tensor:
        logits, distance = proxy(offsets)
        targets = torch.full((len(offsets),), target)
        return evidence * log_odds(logits, targets) - closeness * distance

    return score


def proxy_directions(proxy: Proxy, length: int, target: int, count: int) -> list[Direction]:
    """Both published g-directions, and both ways along `count` h-directions of the evidence, towards a target class."""
    found = [
        gradient_direction(proxy_score(proxy, target, balance), length, rank) for rank, balance in enumerate(BALANCES)
    ]
    if count:
        found += curvature_directions(score_hessian(proxy_score(proxy, target), length), count)
    return found


def unit_vector(vector: Tensor) -> Tensor:
    """A vector (L,) at length 1. Raises NoDirection for one without a direction."""
    norm = torch.linalg.vector_norm(vector)
    if not torch.isfinite(norm) or norm == 0:
        raise NoDirection(
            "there is no direction: the classifier says the same whatever the code; use another source image, or a"
            " larger radius of the probes"
        )
    return vector / norm


def unit_along(codes: Tensor, vector: Tensor) -> float:
    """The length of one standard deviation of codes (N, L), N at least 2, along a direction (L,) of length 1.

    Raises NoDirection for codes that do not differ along it.
    """
    unit = float((codes.double() @ vector.double()).std())
    if len(codes) < 2 or not unit > 0:
        raise NoDirection(
            f"{len(codes)} codes do not differ along the direction, so that it has no scale; use more images"
        )
    return unit


def cosines(directions: Sequence[Direction]) -> Tensor:
    """Cosines (D, D) between directions; 0 off the diagonal where they are orthogonal."""
    vectors = torch.stack([direction.vector for direction in directions]).double()
    return vectors @ vectors.T
