"""COUT: how few of the changed pixels carry the decision from the source class to the target class?

Khorram & Fuxin 2022, as Jeanneret et al. 2023 use it for counterfactual images: the pixels of the source are replaced
by those of the counterfactual, most changed first, and the classifier watches.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches

SLICES = 50


@dataclass(frozen=True)
class Transitions:
    """What a classifier says of N images while their pixels are replaced by those of the counterfactual.

    replaced: (S,) pixels, from 0 to all of them; pixels: how many there are.
    target, original: the probability (N, S) of the target class and of the source's class.
    network_evaluations: for each image, S.
    """

    replaced: np.ndarray
    pixels: int
    target: np.ndarray
    original: np.ndarray
    network_evaluations: int


def transitions(
    classifier: Classifier,
    images: torch.Tensor,
    counterfactuals: torch.Tensor,
    originals: torch.Tensor,
    targets: torch.Tensor,
    *,
    slices: int = SLICES,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> Transitions:
    """Replace the pixels of images (N, 3, H, W) in [0, 1] by those of counterfactuals, most changed first.

    originals, targets: classes (N,). slices: each replaces the largest whole number of pixels of which so many fit; a
    remainder makes one slice more, as published. Pixels that change equally are taken in reading order (the published
    code leaves their order to chance). progress: called with numbers of rows, of which each image has S.
    """
    if counterfactuals.shape != images.shape:
        raise ValueError(f"images {tuple(images.shape)}, counterfactuals {tuple(counterfactuals.shape)}; give the same")
    pixels = images.shape[-2] * images.shape[-1]
    step = max(1, pixels // slices)
    replaced = torch.tensor([*range(0, pixels, step), pixels])
    ranks = change_ranks(images, counterfactuals)
    device = classifier.mean.device

    def evaluate(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows = rows.cpu()
        image, stage = rows // len(replaced), rows % len(replaced)
        changed = (ranks[image] < replaced[stage, None, None])[:, None].to(device)
        before, after = (every[image.to(every.device)].to(device) for every in (images, counterfactuals))
        with torch.no_grad():
            chances = classifier(torch.where(changed, after, before))
        chances = chances.double().softmax(1)
        return of_class(chances, targets, image), of_class(chances, originals, image)

    target, original = in_batches(
        evaluate,
        torch.arange(len(images) * len(replaced)),
        batch_size=batch_size,
        device=device,
        progress=progress,
    )
    shape = (len(images), len(replaced))
    return Transitions(
        replaced.numpy(), pixels, target.numpy().reshape(shape), original.numpy().reshape(shape), len(replaced)
    )


def cout(transitions: Transitions, definition: str = "corrected") -> np.ndarray:
    """Area under the curve of the target minus that of the source's class, one value (N,), higher is better.

    "corrected": the trapezoidal rule over the share of pixels replaced, whose weights sum to 1; in [-1, 1].
    "paper": each slice counts as a full one, as coded; where pixels are left over, the weights sum to a little more.
    An unchanged counterfactual has the gap of its source at every stage: the probability of the target minus that of
    the source's class, near -1 where the classifier is sure and 0 where it is undecided between the two.
    """
    gap = transitions.target - transitions.original
    if definition == "corrected":
        return np.trapezoid(gap, transitions.replaced / transitions.pixels, axis=1)
    if definition == "paper":
        return np.trapezoid(gap, axis=1) * transitions.replaced[1] / transitions.pixels
    raise ValueError(f"definition is {definition!r}; use 'corrected' or 'paper'")


def change_ranks(images: torch.Tensor, counterfactuals: torch.Tensor) -> torch.Tensor:
    """The rank (N, H, W) of each pixel by the change summed over its channels, 0 the most changed; ties as they lie."""
    change = (counterfactuals.cpu().double() - images.cpu().double()).abs().sum(1).flatten(1)
    return change.argsort(dim=1, descending=True, stable=True).argsort(dim=1).view(len(images), *images.shape[-2:])


def of_class(chances: torch.Tensor, classes: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The probability (B,) of the class of each row's image, from probabilities (B, K)."""
    return chances.gather(1, classes.cpu()[image].to(chances.device)[:, None])[:, 0]
