"""BB-LIG: which pixels a direction changes a decision by, as a map (Sobieski & Biecek 2024).

Gradients are integrated along images that the code's way to the other decision leads through; from one to the next the
classifier is asked, not differentiated.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.device import BatchSize, in_batches
from pipeline.diffusion.autoencoder import Codes
from pipeline.errors import UserError
from pipeline.explain.masking import check_word
from pipeline.explain.probes import Decode

LEVELS = 255  # of grey, so that a pixel that no eye sees move does not move


@dataclass(frozen=True)
class Path:
    """How to walk, and what to make of it: the options of `attribute`."""

    longest: float
    steps: int
    points: int
    threshold: float
    formula: str

    def __post_init__(self) -> None:
        check_word("formula", self.formula, FORMULAS)
        if not self.longest > 0:
            raise UserError(f"longest is {self.longest}; use a number of standard deviations above 0, such as 3")
        if self.steps < 2 or self.points < 2:
            raise UserError(f"steps is {self.steps} and points is {self.points}; use 2 or more of each, such as 128")
        if not 0 < self.threshold < 1:
            raise UserError(f"threshold is {self.threshold}; use a probability between 0 and 1, such as 0.01")


@dataclass(frozen=True)
class Attributed:
    """The maps of N images.

    map: (N, H, W) float32, higher for pixels whose change costs the class more. strength: (N,) of the baseline, and
    reached: (N,) whether the class is gone there; where it never is, the baseline is the original and the map 0, as
    published; NaN where the way leads to images that are none. completeness_error: (N,) sum of the map less the change
    of the score. decodes: (N,) int64; there is a query for each.
    """

    map: Tensor
    strength: Tensor
    reached: Tensor
    completeness_error: Tensor
    decodes: Tensor


def attribute(
    decode: Decode,
    score: Callable[[Tensor, int], Tensor],
    codes: Codes,
    explained: Tensor,
    moves: Tensor,
    *,
    longest: float = 3.0,
    steps: int = 128,
    points: int = 128,
    threshold: float = 0.01,
    formula: str = "published",
    batch_size: int | BatchSize = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] = lambda images: None,
) -> Attributed:
    """Explain each image by the way along its move, which leads away from the explained class.

    score: takes images (M, C, H, W) in [0, 1] and a class; returns its log-odds (M,). codes: of N images. explained:
    (N,) classes. moves: (N, L) of strength 1. No row depends on the others: each fills batches of its own.

    longest: strength at the end of the way. steps: images on the way that the baseline is looked for on. points: images
    from the original to the baseline. threshold: probability of the explained class below which it is gone.
    formula: "published", or "complete", whose map adds up to the change of the score. The defaults are published.
    """
    path, found = Path(longest, steps, points, threshold, formula), []
    for row, target in enumerate(explained.tolist()):
        semantic, noise, move = codes.semantic[row], codes.noise[row], moves[row]

        def walk(strengths: Tensor, semantic=semantic, noise=noise, move=move, target=target) -> tuple[Tensor, Tensor]:
            def of_batch(semantics: Tensor) -> tuple[Tensor, Tensor]:
                images = decode(Codes(semantics, noise.to(semantics).expand(len(semantics), *noise.shape)))
                quantised = (images * LEVELS).round() / LEVELS
                return quantised, score(quantised, target).float()

            return in_batches(of_batch, semantic + strengths[:, None] * move, batch_size=batch_size, device=device)

        found.append(of_image(walk, path))
        progress(1)
    maps, strengths, reached, errors, decodes = (torch.stack(column) for column in zip(*found, strict=True))
    return Attributed(maps.float(), strengths, reached, errors.float(), decodes)


def of_image(walk: Callable[[Tensor], tuple[Tensor, Tensor]], path: Path) -> tuple[Tensor, ...]:
    """A row of `Attributed`, from a walk that takes strengths (M,) and returns images and their scores (M,)."""
    tried = torch.linspace(0, path.longest, path.steps)
    shown, scores = walk(tried)
    gone = scores.sigmoid() < path.threshold
    baseline = int(gone.int().argmax())  # the first; of none, the original
    decodes = torch.tensor(path.steps + (path.points if gone.any() else 0))
    if not gone.any():
        stays = torch.where(scores.isnan().any(), torch.nan, 0.0).double()
        return stays.expand(shown.shape[-2:]), tried[0], gone.any(), stays, decodes
    images, scores = (each.double() for each in walk(torch.linspace(0, float(tried[baseline]), path.points)))
    map = FORMULAS[path.formula](images, scores).sum(0)
    error = map.sum() - (scores[0] - scores[-1])
    return map, tried[baseline], gone.any(), error, decodes


def published(images: Tensor, scores: Tensor) -> Tensor:
    """The whole change of the image (C, H, W) times the mean of its slopes, a slope being d score / d pixel.

    Each pixel that moves is given the whole change of the score, so that the sum overshoots by as many as move.
    images: (P, C, H, W), scores: (P,), along the way.
    """
    steps, changes = images.diff(dim=0), scores.diff().view(-1, 1, 1, 1)
    slopes = torch.where(steps == 0, 0.0, changes / torch.where(steps == 0, 1.0, steps))
    return (images[0] - images[-1]) * slopes.mean(0)


def complete(images: Tensor, scores: Tensor) -> Tensor:
    """Each change of the score shared among pixels by how much each moves (C, H, W): adds up to the whole change.

    A change without any pixel that moves cannot be, since equal images have equal scores.
    """
    steps, changes = images.diff(dim=0).abs(), scores.diff().view(-1, 1, 1, 1)
    total = steps.sum((1, 2, 3), keepdim=True)
    return -(changes * steps / torch.where(total == 0, 1.0, total)).sum(0)


FORMULAS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"published": published, "complete": complete}
