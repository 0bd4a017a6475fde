"""SVCE: sparse visual counterfactuals of a robust classifier (Boreiko, Augustin, Croce, Berens & Hein, GCPR 2022).

The image in an l_1.5 ball around the original that the classifier gives most evidence for the target class. There is no
diffusion model: that the result looks like its class is left to the classifier, and so asks for one trained to be
robust.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import START
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals, image_by_image
from pipeline.explain.frank_wolfe import SIZES, furthest, maximise
from pipeline.explain.masking import check_word
from pipeline.noise import Noise

PURPOSE = "svce"


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser | None = None,
    noise: Noise,
    batch_size: int | BatchSize = 16,
    progress: Callable[[int], object] = lambda images: None,
    radius: float = 150.0,
    norm: float = 1.5,
    iterations: int = 75,
    step_size: str = "decaying",
) -> Counterfactuals:
    """Make of each image the one of its ball that the classifier takes for the target class most surely.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes; noise: a row for each image, which gives the direction that
    the search starts in. Makes no use of `denoiser`.
    radius, norm: of the ball, in units of images in [0, 1] over all pixels and channels. 150 is the published radius
        for 224 pixels; the same change of every pixel of a side of S pixels has radius 150 (S / 224)^(2 / norm),
        28.2 at 64 pixels.
    iterations, step_size: see `frank_wolfe.maximise`. Versions of the official code differ in the size of a step; two
        are there.

    The log-odds are maximised instead of the log-likelihood: the one rises where the other does, steps depend on the
    direction of the gradient alone and that is the same, but log-odds do not saturate (the official code doubles the
    temperature for the whole batch when they do). Evaluations of the classifier: iterations + 1.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    check_word("step_size", step_size, SIZES)
    if not radius > 0:
        raise UserError(f"svce: radius is {radius}; use a number above 0, such as 150 for images of 224 pixels")
    if not 1 < norm <= 10:
        raise UserError(f"svce: norm is {norm}; use a number above 1 and up to 10, such as 1.5")
    if iterations < 1:
        raise UserError(f"svce: iterations is {iterations}; use 1 or more, such as 75")

    def make(images: Tensor, targets: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        found = maximise(
            lambda points: log_odds(classifier(points), targets),
            images,
            furthest(images, noise.normal(START, images.shape[1:]).to(images), radius, norm),
            radius=radius,
            norm=norm,
            iterations=iterations,
            step_size=step_size,
        )
        none = torch.zeros_like(targets)
        return found, none + iterations + 1, none, none

    return image_by_image(
        make, images, targets, noise, batch_size=batch_size, device=classifier.mean.device, progress=progress
    )
