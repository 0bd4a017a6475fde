"""The walk of guided diffusion: noise an image, and denoise it step by step while a guidance pushes it to its target.

Methods differ in the guidance alone: a function of the noised images x_t, of what the denoiser predicts from them and
of the step, that returns a direction for each image. Images are in [-1, 1] here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.samplers import noised_start
from pipeline.diffusion.schedule import Schedule, respaced
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals, image_by_image
from pipeline.explain.masking import check_word
from pipeline.explain.views import seen
from pipeline.noise import Noise

OUTPUTS = ("clean", "sample")


class Batch(NamedTuple):
    """originals: (N, 3, H, W) in [-1, 1]. targets: (N,). noise: a row for each image. region: (N, 1, H, W) bool."""

    originals: Tensor
    targets: Tensor
    noise: Noise
    region: Tensor | None


Guidance = Callable[[Tensor, Prediction, int], Tensor]
"""Takes x_t (N, 3, H, W), a Prediction and the step; returns a direction (N, 3, H, W), in which rows are independent.

Where the walk has a graph, `Prediction.clean` (x0-hat) hangs on x_t by it.
"""

Move = Callable[[Schedule, Tensor, Prediction, Tensor, Noise, int], Tensor]
"""Takes schedule, x_t, Prediction (without graph), direction, noise and step; returns the images of one step before."""


def ancestral(
    schedule: Schedule, noised: Tensor, predicted: Prediction, direction: Tensor, noise: Noise, step: int
) -> Tensor:
    """Draw from the predicted Gaussian, its mean moved by variance * direction (Dhariwal & Nichol 2021, algorithm 1).

    The last step draws nothing.
    """
    moved = predicted.mean + predicted.variance * direction
    return moved if step == 0 else moved + predicted.variance**0.5 * noise.normal(step, moved.shape[1:]).to(moved)


def ddim(
    schedule: Schedule, noised: Tensor, predicted: Prediction, direction: Tensor, noise: Noise, step: int
) -> Tensor:
    """Walk along the predicted noise less sqrt(1 - abar) * direction (Dhariwal & Nichol 2021, algorithm 2)."""
    kept, before = float(schedule.signal[step]), float(schedule.signal_before[step])
    guided = predicted.noise - (1 - kept) ** 0.5 * direction
    return before**0.5 * schedule.clean(noised, guided, step) + (1 - before) ** 0.5 * guided


@dataclass(frozen=True)
class Walk:
    """How to walk, and what a step takes.

    steps: of the respaced schedule. skip: how many of them, the noisiest, to leave out; the walk begins with the image
        noised to step `steps - skip - 1`.
    output: "clean" for x0-hat of the last step, "sample" for what the last step leads to.
    classifier_passes, denoiser_gradients: forward passes through classifiers, and backward passes through the denoiser,
        of one guided step. The forward pass of the denoiser is always one; it has a graph only where it needs one.
    clip: whether x0-hat is kept in [-1, 1].
    """

    steps: int
    skip: int
    output: str
    classifier_passes: int
    denoiser_gradients: int
    clip: bool = False
    move: Move = ancestral

    def __post_init__(self) -> None:
        check_word("output", self.output, OUTPUTS)
        if not 0 <= self.skip < self.steps:
            raise UserError(
                f"skip is {self.skip} of {self.steps} steps; use a number from 0 to {self.steps - 1}, such as"
                f" {self.steps // 2}"
            )

    @property
    def first(self) -> int:
        """The step at which the walk begins."""
        return self.steps - self.skip - 1

    @property
    def guided_steps(self) -> int:
        """Steps with guidance: x0-hat of the last step is there before a guidance could change it."""
        return self.first if self.output == "clean" else self.first + 1


def make_counterfactuals(
    denoiser: Denoiser,
    images: Tensor,
    targets: Tensor,
    noise: Noise,
    walk: Walk,
    guidance_for: Callable[[Batch, Schedule], Guidance],
    *,
    batch_size: int | BatchSize,
    device: torch.device,
    progress: Callable[[int], object],
    region: Tensor | None = None,
) -> Counterfactuals:
    """Walk images (N, 3, H, W) in [0, 1] to their targets (N,), batch by batch.

    guidance_for: makes the guidance of a batch on the respaced schedule. region: (N, H, W) bool, True for pixels that
    may change; None for all.
    """
    denoiser = replace(denoiser, schedule=respaced(denoiser.schedule, walk.steps))

    def make(
        originals: Tensor, wanted: Tensor, its_noise: Noise, within: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = Batch(2 * originals - 1, wanted, its_noise, within)
        found = ((walk_down(denoiser, batch, guidance_for(batch, denoiser.schedule), walk) + 1) / 2).clamp(0, 1)
        if within is not None:
            found = torch.where(within, found, originals)
        classifier_passes, gradients = walk.classifier_passes, walk.denoiser_gradients
        each = torch.ones_like(wanted, dtype=torch.int64)
        return (
            found,
            each * (walk.guided_steps * classifier_passes),
            each * (walk.first + 1),
            each * (walk.guided_steps * gradients),
        )

    return image_by_image(
        make, images, targets, noise, batch_size=batch_size, device=device, progress=progress, region=region
    )


@torch.no_grad()
def walk_down(denoiser: Denoiser, batch: Batch, guidance: Guidance, walk: Walk) -> Tensor:
    """Images (N, 3, H, W), in [-1, 1] up to errors, at the end of the guided walk; denoiser: on the respaced schedule.

    Pixels outside the region are those of the noised original at every step.
    """
    schedule, shape = denoiser.schedule, batch.originals.shape[1:]
    outside = batch.noise.for_purpose(f"{batch.noise.purpose}: outside")
    noised = noised_start(denoiser, batch.originals, batch.noise, walk.first)
    for step in range(walk.first, -1, -1):
        if batch.region is not None and step < walk.first:
            original = schedule.noised(batch.originals, outside.normal(step, shape).to(noised), step)
            noised = torch.where(batch.region, noised, original)
        if step == 0 and walk.output == "clean":
            return denoiser(noised, step, clip=walk.clip).clean
        with torch.set_grad_enabled(walk.denoiser_gradients > 0):
            noised = noised.detach().requires_grad_(walk.denoiser_gradients > 0)
            predicted = denoiser(noised, step, clip=walk.clip)
        direction = guidance(noised, predicted, step)
        noised = walk.move(schedule, noised.detach(), detached(predicted), direction, batch.noise, step)
    return noised


def detached(predicted: Prediction) -> Prediction:
    """The same prediction without its graph."""
    return Prediction(*(value.detach() if isinstance(value, Tensor) else value for value in predicted))


def target_gradient(
    classifier: Classifier, clean: Tensor, targets: Tensor, views: Sequence[Tensor | None], temperature: float = 1.0
) -> Tensor:
    """The gradient (N, 3, H, W), in x0-hat, of log p(target) averaged over views; one classifier pass for each.

    clean: x0-hat in [-1, 1] up to errors, which the classifier sees in [0, 1] without a clamp. The denoiser has no part
    in it. views: as `draw_views` returns them. temperature: divides the logits.
    """
    gradient = torch.zeros_like(clean)
    for view in views:
        with torch.enable_grad():
            leaf = clean.detach().requires_grad_()
            logits = classifier((seen(leaf, view) + 1) / 2) / temperature
            evidence = logits.log_softmax(1).gather(1, targets[:, None])
            gradient += torch.autograd.grad(evidence.sum(), leaf)[0]
    return gradient / len(views)


def pull_back(gradients: Sequence[Tensor], clean: Tensor, noised: Tensor) -> list[Tensor]:
    """Gradients in x0-hat as gradients in x_t: each is one backward pass through the denoiser.

    All share the graph of one forward pass, which is freed with the last.
    """
    last = len(gradients) - 1
    return [
        torch.autograd.grad(clean, noised, gradient, retain_graph=index < last)[0]
        for index, gradient in enumerate(gradients)
    ]
