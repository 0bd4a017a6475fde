"""Guidance confined to a region, after RCSB (Sobieski, Grzywaczewski, Sadlej, Tivnan & Biecek, ICLR 2025).

Only a region that is named beforehand may change: if the decision does, its content is what it depends on. RCSB
in-paints with a Schroedinger bridge trained for it; here a diffusion model walks down along the predicted noise while
the pixels outside are the noised original's. What steers is RCSB's: the gradient of log p(target), stabilised as in
Adam over the steps, in units of the length that it had at first.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.schedule import Schedule
from pipeline.errors import UserError
from pipeline.explain.cone import norm
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.guided import Batch, Walk, make_counterfactuals, pull_back, target_gradient
from pipeline.noise import Noise

PURPOSE = "region-guidance"
MEAN_KEPT, SQUARE_KEPT, SMALLEST = 0.9, 0.999, 1e-8  # beta_1, beta_2 and epsilon of Adam, as RCSB


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    region: Tensor,
    batch_size: int | BatchSize = 8,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 100,
    skip: int = 40,
    scale: float = 1.5,
    through_denoiser: bool = True,
) -> Counterfactuals:
    """Make each image one that the classifier takes for its target, by what stands in its region alone.

    images: (N, 3, H, W) in [0, 1] at the denoiser's size; targets: (N,) classes; noise: a row for each image.
    denoiser: on its full schedule, weights frozen. region: (N, H, W) bool, True for pixels that may change; an image
    without any comes back as it is.
    steps, skip: of the walk, see `Walk`; it begins at 0.6 of the schedule, which RCSB advises. scale: the length of the
    first push, in the whole image; the later ones are as much shorter or longer as the stabilised gradient is.
    through_denoiser: whether the gradient is one in x_t, back through the denoiser, as RCSB, or in x0-hat.

    Returns Counterfactuals. The classifier sees the image that would come out: x0-hat in the region, the original
    outside. A step is one pass through it, and one through the denoiser, forward and, with x0-gradient, backward; the
    last step needs no guidance.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    if not scale >= 0:
        raise UserError(f"region-guidance: scale is {scale}; use 0 or more, such as 1.5")
    return make_counterfactuals(
        denoiser,
        images,
        targets,
        noise,
        Walk(steps, skip, "clean", 1, int(through_denoiser), move=pushed),
        lambda batch, schedule: Stabilised(classifier, batch, scale, through_denoiser),
        batch_size=batch_size,
        device=classifier.mean.device,
        progress=progress,
        region=region,
    )


def pushed(
    schedule: Schedule, noised: Tensor, predicted: Prediction, direction: Tensor, noise: Noise, step: int
) -> Tensor:
    """Walk along the predicted noise (DDIM) from x_t + direction, to the x0-hat that was predicted without it."""
    before, clean = float(schedule.signal_before[step]), predicted.clean
    return before**0.5 * clean + (1 - before) ** 0.5 * schedule.noise(noised + direction, clean, step)


@dataclass
class Stabilised:
    """The direction of every step, which remembers the gradients of those before.

    mean, square: decaying sums of the gradients and their squares; kept: of the weights, the decayed first ones.
    first: the length of the first direction of each image.
    """

    classifier: Classifier
    batch: Batch
    scale: float
    through_denoiser: bool
    mean: Tensor | float = 0.0
    square: Tensor | float = 0.0
    kept: tuple[float, float] = (1.0, 1.0)
    first: Tensor | None = field(default=None)

    def __call__(self, noised: Tensor, predicted: Prediction, step: int) -> Tensor:
        shown = torch.where(self.batch.region, predicted.clean.detach(), self.batch.originals)
        gradient = target_gradient(self.classifier, shown, self.batch.targets, [None]) * self.batch.region
        if self.through_denoiser:
            (gradient,) = pull_back([gradient], predicted.clean, noised)
        self.mean = MEAN_KEPT * self.mean + (1 - MEAN_KEPT) * gradient
        self.square = SQUARE_KEPT * self.square + (1 - SQUARE_KEPT) * gradient.square()
        self.kept = (self.kept[0] * MEAN_KEPT, self.kept[1] * SQUARE_KEPT)
        mean, square = self.mean / (1 - self.kept[0]), self.square / (1 - self.kept[1])
        direction = mean / (square.sqrt() + SMALLEST)
        if self.first is None:
            self.first = norm(direction).clamp(min=SMALLEST)
        return self.scale * direction / self.first
