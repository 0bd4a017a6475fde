"""Global directions from few probes: pairs on either side of a source, in the coordinates in which codes vary.

The published search fits a network to tens of thousands of probes, most of them along axes that hardly change an image.
Here codes of other images give the axes and how far codes spread along each. Half the difference of a pair of opposite
probes holds the slope alone, half their sum less the source the curvature alone. Each is a ridge regression with an
answer in closed form, its penalty chosen by what it says of pairs left out; and the search ends once two halves of its
pairs agree on the slope. Needs no gradient of the black box, and no network fitted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.classifiers.wrap import log_odds
from pipeline.errors import UserError
from pipeline.explain.directions import Direction, curvature_directions, unit_vector
from pipeline.explain.probes import Look, Probes
from pipeline.noise import Noise

PURPOSE = "differences"
PENALTIES = tuple(10.0**power for power in range(-6, 3))
"""Of the ridge, in units of the mean of the kernel's diagonal."""


@dataclass(frozen=True)
class Basis:
    """The coordinates of a change of code, in standard deviations.

    axes: (L, R) with columns of length 1, orthogonal; deviations: (R,) of codes along each, largest first.
    """

    axes: Tensor
    deviations: Tensor

    def __len__(self) -> int:
        return len(self.deviations)

    def offsets(self, steps: Tensor) -> Tensor:
        """Changes of code (N, L) of steps (N, R) in standard deviations."""
        return (steps * self.deviations) @ self.axes.T

    def direction(self, step: Tensor) -> Tensor:
        """The direction (L,) of length 1 of a step (R,)."""
        return unit_vector(self.offsets(step[None])[0])


def basis_of(codes: Tensor, rank: int | None = None, share: float = 0.99) -> Basis:
    """The axes along which codes (N, L) of images vary most: `rank` of them, or those with a share of the variance.

    No more than N - 1 images can span. Raises UserError for fewer than three images, or codes that are all the same.
    """
    if len(codes) < 3:
        raise UserError(f"{len(codes)} codes tell no axes along which codes vary; use 3 images or more, such as 64")
    centred = codes.double() - codes.double().mean(0)
    _, lengths, axes = torch.linalg.svd(centred, full_matrices=False)
    variances = lengths.square() / (len(codes) - 1)
    usable = int((variances > 1e-10 * variances[0]).sum()) if variances[0] > 0 else 0
    if not usable:
        raise UserError("all codes are the same, so that there is no axis along which they vary; use other images")
    enough = 1 + int((variances.cumsum(0) < share * variances.sum()).sum())
    count = min(usable, enough if rank is None else rank)
    if rank is not None and rank < 1:
        raise UserError(f"rank is {rank}; use 1 or more, such as 32")
    kept = axes[:count].T
    signs = kept.gather(0, kept.abs().argmax(0, keepdim=True)).sign()  # an axis has none of its own
    return Basis((kept * signs).float(), variances[:count].sqrt().float())


def opposite_steps(noise: Callable[[int], Noise], rank: int, pairs: range, radius: float) -> Tensor:
    """One step (P, rank) of each of the pairs with these numbers, of length `radius` standard deviations.

    Steps come in sets of `rank` that are at right angles, so that no two of a set tell the same. noise: of one row,
    given the number of a set. A step follows from the number of its pair alone.
    """
    if not radius > 0:
        raise UserError(f"radius is {radius}; use a number of standard deviations above 0, such as 1")
    sets = {}
    for pair in pairs:
        number = pair // rank
        if number not in sets:
            orthogonal, triangular = torch.linalg.qr(noise(number).normal(0, (rank, rank))[0].double())
            sets[number] = (orthogonal * triangular.diagonal().sign()).T.float()  # uniform over rotations
    return radius * torch.stack([sets[pair // rank][pair % rank] for pair in pairs])


class Ridge(NamedTuple):
    """weights: (N,) of the rows in the answer. penalty: the one chosen. left_out_error: mean square, with it."""

    weights: Tensor
    penalty: float
    left_out_error: float


def ridge(kernel: Tensor, values: Tensor) -> Ridge:
    """Ridge regression through the products of rows, in closed form (N, N), for values (N,).

    Of all penalties the one whose answer, fitted to the others, errs least on each row in turn; this too is in closed
    form. Equal errors: the smallest penalty. All float64.
    """
    eigenvalues, vectors = torch.linalg.eigh(kernel)
    scale, rotated, best = kernel.diagonal().mean(), vectors.T @ values, None
    for penalty in PENALTIES:
        shrunk = 1 / (eigenvalues.clamp(min=0) + penalty * scale)
        weights = vectors @ (shrunk * rotated)
        left_out = weights / (vectors.square() @ shrunk)
        error = float(left_out.square().mean())
        if best is None or error < best.left_out_error * (1 - 1e-9):
            best = Ridge(weights, penalty, error)
    return best


def slope_of(steps: Tensor, odd: Tensor) -> Tensor:
    """The gradient (R,) that half-differences (P,) of pairs at +-steps (P, R) are explained by: odd = step . slope."""
    steps, odd = steps.double(), odd.double()
    return ridge(steps @ steps.T, odd).weights @ steps


def curvature_of(steps: Tensor, even: Tensor) -> Tensor:
    """The Hessian (R, R) that half-sums (P,), less the source's, are explained by: even = step' Hessian step / 2.

    The ridge is on the sum of squares of its entries, so pairs may be fewer than entries.
    """
    steps, even = steps.double(), even.double()
    weights = ridge((steps @ steps.T).square(), even).weights
    return 2 * (steps.T * weights) @ steps


def agreement(steps: Tensor, odd: Tensor) -> float:
    """The cosine to expect between the slope from all pairs and the truth, from how far two halves agree.

    Halves with cosine c share a part with the truth; twice as many pairs have cosine sqrt(2 c / (1 + c)) with it (the
    formula of Spearman and Brown); 0 where they disagree.
    """
    first, second = slope_of(steps[::2], odd[::2]), slope_of(steps[1::2], odd[1::2])
    shared = float(torch.nn.functional.cosine_similarity(first, second, dim=0).clamp(min=0))
    return (2 * shared / (1 + shared)) ** 0.5


@dataclass(frozen=True)
class Search:
    """How to search.

    pairs: the most, each two decodes and two queries. block: pairs after which the agreement is looked at. agreement:
    to stop at; 1 never does. radius: of the probes, in standard deviations of the codes.
    """

    pairs: int = 128
    block: int = 16
    agreement: float = 0.95
    radius: float = 1.0

    def __post_init__(self) -> None:
        if self.block < 4 or self.block % 2:
            raise UserError(f"block is {self.block} pairs; use an even number from 4, such as 16")
        if self.pairs < self.block:
            raise UserError(f"pairs is {self.pairs}; use {self.block} or more, such as 128")
        if not 0 < self.agreement <= 1:
            raise UserError(f"agreement is {self.agreement}; use a number above 0 and up to 1, such as 0.95")


@dataclass(frozen=True)
class Found:
    """What a search has found of one black box around one source.

    slope: (R,) and curvature: (R, R) of the log-odds of the target, in standard deviations. agreement: with the truth,
    as expected from halves, after each block. probes: all of them, the source first, then plus and minus in turn;
    decodes and queries are as many.
    """

    basis: Basis
    slope: Tensor
    curvature: Tensor
    agreement: list[float]
    probes: Probes

    @property
    def decodes(self) -> int:
        return len(self.probes)

    def directions(self, count: int) -> list[Direction]:
        """The g-direction, and both ways along `count` h-directions."""
        found = [Direction(self.basis.direction(self.slope.float()), "g", 0)]
        for each in curvature_directions(self.curvature.float(), count) if count else []:
            vector = self.basis.direction(each.vector)
            found.append(Direction(vector, "h", each.rank, each.sign, each.eigenvalue))
        return found


def search(look: Look, basis: Basis, target: int, noise: Callable[[int], Noise], options: Search) -> Found:
    """Look at pairs around a source until halves of them agree on the slope of the log-odds of a target class.

    look: asked for offsets under their numbers: 0 the source itself, then 1 and 2, 3 and 4 ... for pairs. noise: of one
    row, given the number of a set of steps; see `opposite_steps`.
    """
    probes, agreed, steps = look(torch.zeros(1, len(basis.axes)), [0]), [], torch.zeros(0, len(basis))
    while len(steps) < options.pairs:
        new = range(len(steps), min(len(steps) + options.block, options.pairs))
        fresh = opposite_steps(noise, len(basis), new, options.radius)
        both = torch.stack([fresh, -fresh], dim=1).flatten(0, 1)
        probes += look(basis.offsets(both), [number for pair in new for number in (2 * pair + 1, 2 * pair + 2)])
        steps = torch.cat([steps, fresh])
        odd, even = halves(probes, target)
        agreed.append(agreement(steps, odd))
        if agreed[-1] >= options.agreement:
            break
    return Found(basis, slope_of(steps, odd), curvature_of(steps, even), agreed, probes)


def halves(probes: Probes, target: int) -> tuple[Tensor, Tensor]:
    """Half-differences and half-sums less the source (P,) of the log-odds of a target, of the source and P pairs."""
    odds = log_odds(probes.logits.double(), torch.full((len(probes),), target))
    plus, minus = odds[1::2], odds[2::2]
    return (plus - minus) / 2, (plus + minus) / 2 - odds[0]
