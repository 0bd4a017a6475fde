"""Classifier guidance (Dhariwal & Nichol, NeurIPS 2021), from a noised image on, so that it makes a counterfactual.

A network that was trained on noised images judges x_t itself; its gradient needs no pass back through the denoiser:

    g = scale * gradient of log p(target | x_t, t) in x_t
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.schedule import Schedule
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.guided import Move, Walk, ancestral, ddim, make_counterfactuals
from pipeline.explain.masking import check_word
from pipeline.noise import Noise

PURPOSE = "classifier-guidance"
MOVES: dict[str, Move] = {"ancestral": ancestral, "ddim": ddim}


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    guide: NoisyClassifier,
    region: Tensor | None = None,
    batch_size: int | BatchSize = 8,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 250,
    skip: int = 125,
    scale: float = 10.0,
    sampler: str = "ancestral",
    clip: bool = True,
) -> Counterfactuals:
    """Make each image one that a classifier of noised images takes for its target.

    classifier: only names the classes and the device; whether it agrees with the guide is for a metric to say, and it
    may be a black box. images: (N, 3, H, W) in [0, 1] at the size of denoiser and guide; targets: (N,) classes; noise:
    a row for each image. denoiser: on its full schedule. guide: takes images in [-1, 1] and timesteps, weights frozen,
    with the classes of the classifier in their order. region: (N, H, W) bool, True for pixels that may change;
    None for all.
    steps, skip: of the walk, see `Walk`; 250 steps as published, which begins with pure noise (the skip is ours).
    scale: of the gradient; published are 1 to 4 for class-conditional denoisers, 10 for the unconditional one of 256
    pixels. sampler: "ancestral" or "ddim". clip: whether x0-hat is kept in [-1, 1] before it is guided, as published.

    Returns Counterfactuals: of `steps - skip` passes each through guide and denoiser, none back through the denoiser.
    Raises UserError for options out of range or a guide with another number of classes.
    """
    check_word("sampler", sampler, MOVES)
    if not scale >= 0:
        raise UserError(f"classifier-guidance: scale is {scale}; use 0 or more, such as 10")
    if guide.shape.out_channels != len(classifier.classes):
        raise UserError(
            f"the guide tells {guide.shape.out_channels} classes apart and classifier '{classifier.name}' has"
            f" {len(classifier.classes)}; use a guide trained with the classes {', '.join(classifier.classes)}"
        )
    walk = Walk(steps, skip, "sample", 1, 0, clip, MOVES[sampler])
    return make_counterfactuals(
        denoiser,
        images,
        targets,
        noise,
        walk,
        lambda batch, schedule: partial(direction, guide, batch.targets, schedule, scale),
        batch_size=batch_size,
        device=classifier.mean.device,
        progress=progress,
        region=region,
    )


def direction(
    guide: NoisyClassifier,
    targets: Tensor,
    schedule: Schedule,
    scale: float,
    noised: Tensor,
    predicted: Prediction,
    step: int,
) -> Tensor:
    """g (N, 3, H, W) of one step, in which the denoiser's prediction has no part."""
    with torch.enable_grad():
        leaf = noised.detach().requires_grad_()
        evidence = guide(leaf, schedule.timestep(step, leaf)).log_softmax(1).gather(1, targets[:, None])
        return scale * torch.autograd.grad(evidence.sum(), leaf)[0]
