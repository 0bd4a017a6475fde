"""ACE: adversarial counterfactuals (Jeanneret, Simon & Jurie, CVPR 2023).

An attack makes adversarial images, since nothing keeps it to what images look like. Here it attacks the classifier
behind a diffusion model, F: a little noise and back, which takes away what does not look like an image. What the attack
has changed then becomes the counterfactual, where it has changed much, by in-painting with the same model.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pipeline.classifiers.wrap import Classifier, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import START, noised_start
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals, image_by_image
from pipeline.explain.masking import check_word
from pipeline.noise import Noise

PURPOSE = "ace"
ITERATION = 2 * START
"""Between the steps under which two iterations draw their noise."""


@dataclass(frozen=True)
class Options:
    """What decides the counterfactuals; see `explain`."""

    start: int
    iterations: int
    distance: str
    distance_weight: float
    step_size: float
    epsilon: float | None
    threshold: float
    dilation: int
    recompute: str

    def __post_init__(self) -> None:
        check_word("distance", self.distance, ("l1", "l2"))
        check_word("recompute", self.recompute, ("nothing", "steps"))
        if self.iterations < 1:
            raise UserError(f"ace: iterations is {self.iterations}; use 1 or more, such as 50")
        if not self.distance_weight >= 0:
            raise UserError(f"ace: distance_weight is {self.distance_weight}; use 0 or more, such as 0.001")
        if not self.step_size > 0:
            raise UserError(
                f"ace: step_size is {self.step_size}; use a number above 0, such as {1 / 255:.4f} (1 / 255)"
            )
        if self.epsilon is not None and not self.epsilon > 0:
            raise UserError(f"ace: epsilon is {self.epsilon}; use a number above 0, such as 0.1, or null for none")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"ace: threshold is {self.threshold}; use 0 (no in-painting) to 1, such as 0.15")
        if self.dilation < 1 or self.dilation % 2 == 0:
            raise UserError(f"ace: dilation is {self.dilation}; use an odd number of pixels, such as 15")


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    batch_size: int | BatchSize = 16,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 25,
    start: int = 5,
    iterations: int = 100,
    distance: str = "l1",
    distance_weight: float = 0.001,
    step_size: float = 1 / 255,
    epsilon: float | None = None,
    threshold: float = 0.15,
    dilation: int = 15,
    recompute: str = "nothing",
) -> Counterfactuals:
    """Attack each image through the diffusion model, then in-paint what the attack has changed.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes; noise: a row for each image; denoiser: on its full schedule.
    The defaults are those published for ImageNet; for faces it is 50 iterations.
    steps, start: of the schedule respaced to `steps` steps, F walks the `start` cleanest; images are noised to the
        noisiest of these. The author's advice is the largest `start` with which F rarely changes the decision.
    iterations, step_size: each iteration draws fresh noise and moves every value by step_size against the sign of the
        gradient of cross-entropy plus distance, both of the image itself (the official code has the mean of one over
        the batch and the sum of the other, so that its results depend on the batch size).
    distance, distance_weight: from the original, in units of images in [0, 1]: "l1", the sum of absolute values, or
        "l2", the root of the sum of squares.
    epsilon: the largest change of a value by the attack; none by default, as published.
    threshold: pixels whose change, summed over channels, spread by `dilation` and divided by the image's largest, is
        below this come from the original, noised as far, at every step of the in-painting; 0 for no in-painting: all
        pixels are denoised.
    dilation: side in pixels, odd, of the square in which the largest change counts. 15 is published for 128 and for
        256 pixels alike; at 64 pixels 3 to 7 cover as much of the image.
    recompute: "steps" keeps only the images between steps for the backward pass and computes each step again, for
        memory of one step instead of `start` of them; "nothing" keeps everything. Results are the same.

    An image that the attack leaves unchanged comes back as it is (but for threshold 0). Evaluations: `iterations` of
    the classifier; (iterations + 1) start of the denoiser, and iterations * start more if steps are recomputed;
    iterations * start of them are differentiated.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    options = Options(start, iterations, distance, distance_weight, step_size, epsilon, threshold, dilation, recompute)
    denoiser = replace(denoiser, schedule=respaced(denoiser.schedule, steps))
    if not 1 <= start <= steps:
        raise UserError(f"ace: start is {start} of {steps} steps; use 1 to {steps}, such as {max(1, steps // 5)}")

    def make(images: Tensor, targets: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        attacked = attack(classifier, denoiser, images, targets, noise, options)
        refined = refine(denoiser, attacked, images, noise, options)
        none, differentiated = torch.zeros_like(targets), iterations * start
        forward = differentiated * (1 if recompute == "nothing" else 2) + start
        return refined, none + iterations, none + forward, none + differentiated

    return image_by_image(
        make, images, targets, noise, batch_size=batch_size, device=classifier.mean.device, progress=progress
    )


def attack(
    classifier: Classifier, denoiser: Denoiser, images: Tensor, targets: Tensor, noise: Noise, options: Options
) -> Tensor:
    """The pre-explanations (N, 3, H, W) in [0, 1]: images that decide for their targets once F has cleaned them."""
    reach = 1.0 if options.epsilon is None else options.epsilon
    lowest, highest = (images - reach).clamp(min=0), (images + reach).clamp(max=1)
    attacked = images
    for iteration in range(options.iterations):
        with torch.enable_grad():
            attacked = attacked.detach().requires_grad_()
            logits = classifier(cleaned(denoiser, attacked, noise, iteration, options))
            loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
            (slope,) = torch.autograd.grad(loss, attacked)
        attacked = attacked.detach()
        slope = slope + options.distance_weight * distance_slope(attacked - images, options.distance)
        attacked = (attacked - options.step_size * slope.sign()).clamp(lowest, highest)
    return attacked


def cleaned(denoiser: Denoiser, images: Tensor, noise: Noise, iteration: int, options: Options) -> Tensor:
    """F: images (N, 3, H, W) in [0, 1], noised and denoised again with the noise of an iteration, differentiable."""
    first, shape = options.start - 1, images.shape[1:]
    drawn = noise.normal(iteration * ITERATION + START, shape).to(images)
    walked = denoiser.schedule.noised(2 * images - 1, drawn, first)
    for step in range(first, -1, -1):
        fresh = noise.normal(iteration * ITERATION + step, shape).to(images) if step > 0 else None
        down = partial(step_down, denoiser, step=step, fresh=fresh)
        if options.recompute == "steps":
            walked = checkpoint(down, walked, use_reentrant=False, preserve_rng_state=False)
        else:
            walked = down(walked)
    return (walked + 1) / 2


def step_down(denoiser: Denoiser, walked: Tensor, step: int, fresh: Tensor | None) -> Tensor:
    """Images (N, 3, H, W) one step before, from those of a step and fresh noise; without noise, their mean."""
    predicted = denoiser(walked, step, clip=True)
    return predicted.mean if fresh is None else predicted.mean + predicted.variance**0.5 * fresh


def distance_slope(change: Tensor, distance: str) -> Tensor:
    """The gradient (N, 3, H, W) of the distance, by the change from the original; 0 where there is none."""
    if distance == "l1":
        return change.sign()
    return change / torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)


@torch.no_grad()
def refine(denoiser: Denoiser, attacked: Tensor, images: Tensor, noise: Noise, options: Options) -> Tensor:
    """Counterfactuals (N, 3, H, W) in [0, 1]: what was attacked, walked down among pixels of the originals."""
    keep, originals, first = unchanged(attacked, images, options), 2 * images - 1, options.start - 1
    of_walk, of_kept = (noise.for_purpose(f"{noise.purpose}: {part}") for part in ("refinement", "original"))
    walked = noised_start(denoiser, 2 * attacked - 1, of_walk, first)
    for step in range(first, -1, -1):
        known = denoiser.schedule.noised(originals, of_kept.normal(step, images.shape[1:]).to(images), step)
        fresh = of_walk.normal(step, images.shape[1:]).to(images) if step > 0 else None
        walked = step_down(denoiser, torch.where(keep, known, walked), step, fresh)
    return torch.where(keep, images, (walked + 1) / 2).clamp(0, 1)


def unchanged(attacked: Tensor, images: Tensor, options: Options) -> Tensor:
    """The pixels bool (N, 1, H, W) that stay: far from any change that is large for its image."""
    change = (attacked - images).abs().sum(1, keepdim=True)
    spread = torch.nn.functional.max_pool2d(change, options.dilation, stride=1, padding=options.dilation // 2)
    return spread < options.threshold * change.amax(dim=(2, 3), keepdim=True).clamp(min=1e-12)
