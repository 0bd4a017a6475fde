"""DiME: counterfactuals by the gradient of an unchanged classifier on denoised images (Jeanneret et al., ACCV 2022).

A classifier of clean images says nothing of noised ones. So at every step down the noised images z are denoised all the
way, the classifier's gradient is taken at what comes out, and steers z as if it were the gradient at z.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.samplers import noised_start, sample_ancestral
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.masking import check_word
from pipeline.explain.scales import check_scales, first_that_flips
from pipeline.noise import Noise

PURPOSE = "dime"
EVIDENCE = {
    "log-odds": log_odds,
    "log-probability": lambda logits, targets: logits.log_softmax(1).gather(1, targets[:, None])[:, 0],
}
"""What the classifier says for a target, from logits (N, K) and targets (N,): (N,)."""

Perceptual = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Options:
    """What decides one walk down; see `explain`."""

    start: int
    evidence: str
    l1_weight: float
    l2_weight: float
    perceptual: Perceptual | None
    perceptual_weight: float
    inner: str

    def __post_init__(self) -> None:
        check_word("evidence", self.evidence, EVIDENCE)
        check_word("inner", self.inner, ("full", "one-step"))
        for name in ("l1_weight", "l2_weight", "perceptual_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(f"dime: {name} is {getattr(self, name)}; use 0 or more, such as 0.05")


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    batch_size: int | BatchSize = 16,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 200,
    start: int = 60,
    scales: Sequence[float] = (8.0, 10.0, 15.0),
    evidence: str = "log-odds",
    l1_weight: float = 0.05,
    l2_weight: float = 0.0,
    perceptual: Perceptual | None = None,
    perceptual_weight: float = 30.0,
    inner: str = "full",
) -> Counterfactuals:
    """Walk each image down from noise, steered by the classifier's gradient at the denoised image.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes; noise: a row for each image; denoiser: on its full schedule.
    steps, start: of the schedule respaced to `steps` steps, the `start` cleanest are walked. Images are noised to the
        noisiest of these; the official code noises them to the step above and then leaves that one out.
    scales: of the classifier's gradient, tried in turn on the images that the one before did not flip; an image that
        none flips keeps the last. All draw the same noise, so that only the scale differs.
    evidence: "log-odds" of the target, which for two classes is the logit of the published networks, or its
        "log-probability", which the official code offers as well.
    l1_weight, l2_weight: of the distances between z and the original, in units of images in [-1, 1]: the sum of
        absolute values, and the sum over pixels of the length of the colour difference.
    perceptual, perceptual_weight: a function from images (N, 3, H, W) and their originals, both in [0, 1], to distances
        (N,), and its weight; published is the mean squared difference of features of VGG-19. Its passes are not
        counted as the classifier's.
    inner: "full" denoises z step by step, as published; "one-step" takes the network's estimate x0-hat at z, which the
        step needs anyway. The second is ours, not published, and costs a fraction.

    For each scale tried `start` evaluations of the classifier and, but for the last of `scales`, one to see whether it
    flipped. Evaluations of the denoiser: start + (start - 1) (start - 2) / 2 for a scale in full (1 771 as published,
    where the official code needs start (start + 1) / 2 = 1 830: its inner walk begins with the very pass that the next
    step repeats), `start` in one step. None is differentiated.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    options = Options(start, evidence, l1_weight, l2_weight, perceptual, perceptual_weight, inner)
    denoiser = replace(denoiser, schedule=respaced(denoiser.schedule, steps))
    if not 1 <= start <= steps:
        raise UserError(f"dime: start is {start} of {steps} steps; use 1 to {steps}, such as {max(1, steps * 3 // 10)}")
    check_scales(PURPOSE, scales)
    return first_that_flips(
        lambda scale: partial(walk_down, classifier, denoiser, scale, options),
        classifier,
        images,
        targets,
        noise,
        scales,
        batch_size=batch_size,
        progress=progress,
    )


@torch.no_grad()
def walk_down(
    classifier: Classifier,
    denoiser: Denoiser,
    scale: float,
    options: Options,
    images: Tensor,
    targets: Tensor,
    noise: Noise,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The images (N, 3, H, W) in [0, 1] of one scale, and the passes of each through classifier and denoiser."""
    originals, first = 2 * images - 1, options.start - 1
    walked, clean, passes = noised_start(denoiser, originals, noise, first), originals, 0
    for step in range(first, -1, -1):
        predicted = denoiser(walked, step, clip=True)
        passes += 1
        if step < first:
            clean, inner_passes = denoised(denoiser, predicted, step, noise, options.inner)
            passes += inner_passes
        slope = evidence_slope(classifier, clean, originals, targets, scale, options)
        slope = slope / float(denoiser.schedule.signal[step]) ** 0.5 + distance_slope(walked - originals, options)
        walked = predicted.mean - predicted.variance * slope
        if step > 0:
            walked = walked + predicted.variance**0.5 * noise.normal(step, walked.shape[1:]).to(walked)
    none = torch.zeros_like(targets)
    return ((walked + 1) / 2).clamp(0, 1), none + options.start, none + passes, none


def denoised(denoiser: Denoiser, predicted: Prediction, step: int, noise: Noise, inner: str) -> tuple[Tensor, int]:
    """Clean images (N, 3, H, W) in [-1, 1] of those whose prediction at `step` is given, and the passes it took."""
    if inner == "one-step" or step == 0:
        return predicted.clean, 0
    of_walk = noise.for_purpose(f"{noise.purpose}: inner {step}")
    fresh = of_walk.normal(step, predicted.mean.shape[1:]).to(predicted.mean)
    below = predicted.mean + predicted.variance**0.5 * fresh
    return sample_ancestral(denoiser, below, of_walk, first=step - 1, clip=True), step


def evidence_slope(
    classifier: Classifier, clean: Tensor, originals: Tensor, targets: Tensor, scale: float, options: Options
) -> Tensor:
    """The gradient (N, 3, H, W) of what is to fall, at clean images in [-1, 1]: minus evidence, perceptual distance."""
    with torch.enable_grad():
        clean = clean.detach().requires_grad_()
        shown = (clean + 1) / 2
        loss = -scale * EVIDENCE[options.evidence](classifier(shown), targets)
        if options.perceptual is not None:
            loss = loss + options.perceptual_weight * options.perceptual(shown, (originals + 1) / 2)
        (slope,) = torch.autograd.grad(loss.sum(), clean)
    return slope


def distance_slope(change: Tensor, options: Options) -> Tensor:
    """The gradient (N, 3, H, W) of the weighted distances, by the change from the original; 0 where there is none."""
    lengths = torch.linalg.vector_norm(change, dim=1, keepdim=True).clamp(min=1e-12)
    return options.l1_weight * change.sign() + options.l2_weight * change / lengths
