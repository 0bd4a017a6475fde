"""Follow a direction from the codes of many images, each to the smallest step at which the classifier decides anew.

The published transfer decodes 128 steps for every image. Here a few marks along the way find between which two of them
the decision falls, and bisection finds where: 12 decodes, as they come to a 320th of the way.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.classifiers.wrap import log_odds
from pipeline.device import BatchSize, in_batches
from pipeline.diffusion.autoencoder import Codes
from pipeline.errors import UserError
from pipeline.explain.probes import Decode, Query

ROUNDING = 1e-3  # of log-odds, up to which a fall is none


@dataclass(frozen=True)
class Way:
    """How far to go, and how closely to look.

    longest: strength at the end of the way; the same for every direction that is compared. marks: evenly spread, the
    last at the end. halvings: of the distance between two marks.
    """

    longest: float = 3.0
    marks: int = 5
    halvings: int = 6

    def __post_init__(self) -> None:
        if not self.longest > 0:
            raise UserError(f"longest is {self.longest}; use a number of standard deviations above 0, such as 3")
        if self.marks < 1 or self.halvings < 0:
            raise UserError(
                f"marks is {self.marks} and halvings is {self.halvings}; use 1 or more and 0 or more, such as 5 and 6"
            )

    @property
    def strengths(self) -> list[float]:
        """Of the marks, after 0."""
        return [self.longest * mark / self.marks for mark in range(self.marks + 1)]

    @property
    def decodes(self) -> int:
        """The most for one image: where it is, at each mark, and at each halving."""
        return 1 + self.marks + self.halvings


@dataclass(frozen=True)
class Transferred:
    """What became of N images.

    images: (N, C, H, W) in [0, 1], at `strength` (N,): the smallest found at which the classifier decides for the
    target, the longest where it never does; 0 where the reconstruction alone does it. flipped: (N,) whether it does.
    logits: (N, K) of the images. odds: (N, marks + 1) log-odds of the target at the marks, from 0; decided: as many
    classes. decodes: (N,) int64; there is a query for each.
    """

    images: Tensor
    strength: Tensor
    flipped: Tensor
    logits: Tensor
    odds: Tensor
    decided: Tensor
    decodes: Tensor

    @property
    def monotone(self) -> Tensor:
        """Whether the log-odds never fall on the way (N,); where they do, a smaller step may flip than that found."""
        return (self.odds.diff(dim=1) >= -ROUNDING).all(1)


def moves_along(vectors: Tensor, units: Tensor | float, signs: Tensor) -> Tensor:
    """Changes of code (N, L) of strength 1: directions (L,) or (N, L) in standard deviations, there or back.

    units: of one standard deviation. signs: (N,) 1 for images on their way to the direction's target, -1 for others.
    """
    return (
        signs[:, None] * torch.as_tensor(units, dtype=vectors.dtype).view(-1, 1) * vectors.view(-1, vectors.shape[-1])
    )


def transfer(
    decode: Decode,
    query: Query,
    codes: Codes,
    targets: Tensor,
    moves: Tensor,
    way: Way,
    *,
    batch_size: int | BatchSize = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Transferred:
    """Move each image's code along its own move until the classifier decides for its target.

    codes: of N images; targets: (N,) classes; moves: (N, L) of strength 1. The decision is the class with the highest
    logit, of however many classes. No row depends on the others.
    """
    visit = Visits(decode, query, codes, moves, batch_size, device)
    everyone, marks = torch.arange(len(targets)), torch.tensor(way.strengths)
    odds, decided, best = [], [], None
    for place, strength in enumerate(way.strengths):
        images, logits = visit(everyone, torch.full((len(targets),), strength))
        hits = logits.argmax(1) == targets
        odds.append(log_odds(logits, targets))
        decided.append(logits.argmax(1))
        if best is None:
            best, reached, first = (images, logits), hits, torch.zeros(len(targets), dtype=torch.int64)
            continue
        newly, going = hits & ~reached, ~reached
        best = tuple(
            torch.where(going.view(-1, *[1] * (old.dim() - 1)), new, old)
            for new, old in zip((images, logits), best, strict=True)
        )
        first = torch.where(going, place, first)
        reached = reached | newly
    images, logits = best
    high, low = marks[first], marks[(first - 1).clamp(min=0)]
    between = torch.nonzero(reached & (first > 0))[:, 0]
    progress(len(targets) - len(between))
    for _ in range(way.halvings if len(between) else 0):
        middle = (low[between] + high[between]) / 2
        seen, said = visit(between, middle)
        hits = said.argmax(1) == targets[between]
        high[between], low[between] = torch.where(hits, middle, high[between]), torch.where(hits, low[between], middle)
        images[between[hits]], logits[between[hits]] = seen[hits], said[hits]
    progress(len(between))
    return Transferred(images, high, reached, logits, torch.stack(odds, 1), torch.stack(decided, 1), visit.decodes)


class Visits:
    """Looks at images somewhere along their moves, and counts how often each was decoded."""

    def __init__(
        self,
        decode: Decode,
        query: Query,
        codes: Codes,
        moves: Tensor,
        batch_size: int | BatchSize,
        device: torch.device | str,
    ):
        self.decode, self.query, self.codes, self.moves = decode, query, codes, moves
        self.batch_size, self.device = batch_size, device
        self.decodes = torch.zeros(len(moves), dtype=torch.int64)

    def __call__(self, rows: Tensor, strengths: Tensor) -> tuple[Tensor, Tensor]:
        """Images and logits of some rows (n,), each at its strength (n,)."""
        self.decodes[rows] += 1

        def of_batch(semantic: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
            images = self.decode(Codes(semantic, noise))
            return images, self.query(images).float()

        moved = self.codes.semantic[rows] + strengths[:, None] * self.moves[rows]
        return in_batches(of_batch, moved, self.codes.noise[rows], batch_size=self.batch_size, device=self.device)
