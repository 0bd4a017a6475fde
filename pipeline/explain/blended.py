"""Counterfactuals by the losses of Blended Diffusion (Avrahami et al. 2022), the baseline in Augustin et al. (2022).

With x0-hat the denoised image at a step and f = sqrt(1 - abar), the classifier sees y = f x0-hat + (1 - f) x_t, and
each step moves the mean by its variance times -dL/dx_t, taken through the denoiser, where for each image

    L = -classifier_weight * log p(target | y) + range_weight * mean (x0-hat - clip(x0-hat))^2
        + l2_weight * mean (y - x0)^2 + perceptual_weight * perceptual(y, x0)

Nothing is blended: Blended Diffusion keeps what lies outside a mask, and there is none here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.schedule import Schedule
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.guided import Batch, Walk, make_counterfactuals
from pipeline.noise import Noise

PURPOSE = "blended"

Perceptual = Callable[[Tensor, Tensor], Tensor]
"""Takes two batches of images (N, 3, H, W) in [0, 1], the first up to errors; returns a distance (N,) for each pair."""


@dataclass(frozen=True)
class Losses:
    """The weights of the loss, and its perceptual distance if there is one."""

    classifier_weight: float = 25.0
    range_weight: float = 50.0
    l2_weight: float = 1e4
    perceptual_weight: float = 1000.0
    perceptual: Perceptual | None = None

    def __post_init__(self) -> None:
        for option in ("classifier_weight", "range_weight", "l2_weight", "perceptual_weight"):
            if not getattr(self, option) >= 0:
                raise UserError(f"blended: {option} is {getattr(self, option)}; use 0 or more, such as 25")


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    perceptual: Perceptual | None = None,
    region: Tensor | None = None,
    batch_size: int | BatchSize = 8,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 100,
    skip: int = 25,
    classifier_weight: float = 25.0,
    range_weight: float = 50.0,
    l2_weight: float = 1e4,
    perceptual_weight: float = 1000.0,
) -> Counterfactuals:
    """Make each image one that the classifier takes for its target, by a weighted loss whose gradient is not rescaled.

    images: (N, 3, H, W) in [0, 1] at the denoiser's size; targets: (N,) classes; noise: a row for each image.
    denoiser: on its full schedule, weights frozen. classifier: published for robust ones alone, since nothing here
    smooths the gradient of an ordinary one. perceptual: a distance between images, LPIPS as published, that keeps to
    the original together with the mean squared one; None for none. region: (N, H, W) bool, True for pixels that may
    change; None for all.
    steps, skip: of the walk, see `Walk`. The weights: of the loss above; published are sums over a batch but its mean
    squared distance, which makes the balance depend on the batch size; here all are of one image. They are for 256
    pixels: a mean over fewer pixels pulls at each of them harder, so that at 64 pixels range_weight and l2_weight need
    a sixteenth for the same pull.

    Returns Counterfactuals: x0-hat of the last step, clamped to [0, 1]. A step is one pass forward and one back through
    the denoiser, and one through the classifier; the last, which yields the image, only the first of these.
    Raises UserError for options out of range or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    losses = Losses(classifier_weight, range_weight, l2_weight, perceptual_weight, perceptual)
    return make_counterfactuals(
        denoiser,
        images,
        targets,
        noise,
        Walk(steps, skip, "clean", classifier_passes=1, denoiser_gradients=1),
        lambda batch, schedule: partial(direction, classifier, batch, losses, schedule),
        batch_size=batch_size,
        device=classifier.mean.device,
        progress=progress,
        region=region,
    )


def direction(
    classifier: Classifier,
    batch: Batch,
    losses: Losses,
    schedule: Schedule,
    noised: Tensor,
    predicted: Prediction,
    step: int,
) -> Tensor:
    """-dL/dx_t (N, 3, H, W) of one step."""
    share = (1 - float(schedule.signal[step])) ** 0.5
    with torch.enable_grad():
        shown = share * predicted.clean + (1 - share) * noised
        loss = loss_of_each(classifier, batch, losses, shown, predicted.clean)
        return -torch.autograd.grad(loss.sum(), noised)[0]


def loss_of_each(classifier: Classifier, batch: Batch, losses: Losses, shown: Tensor, clean: Tensor) -> Tensor:
    """L (N,). shown: what the classifier sees (y); clean: x0-hat; both (N, 3, H, W) in [-1, 1] up to errors."""
    logits = classifier(((shown + 1) / 2).clamp(0, 1))
    evidence = logits.log_softmax(1).gather(1, batch.targets[:, None])[:, 0]
    beyond = (clean - clean.clamp(-1, 1)).square().flatten(1).mean(1)
    loss = losses.range_weight * beyond - losses.classifier_weight * evidence
    if losses.l2_weight:
        loss = loss + losses.l2_weight * (shown - batch.originals).square().flatten(1).mean(1)
    if losses.perceptual is not None and losses.perceptual_weight:
        distance = losses.perceptual((shown + 1) / 2, (batch.originals + 1) / 2)
        loss = loss + losses.perceptual_weight * distance
    return loss
