"""MaskDiME: DiME with masks, one pass through the denoiser a step (CVPR 2026; as its authors released it).

A step asks the classifier about the estimate x0-hat instead of an image denoised all the way, and changes only pixels
with strong evidence: of two masks that follow it, the outer says where the noised images z are moved, and the inner,
which lies in it, where the next step's image for the classifier shows x0-hat. Elsewhere both are the original's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import noised_start
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.dime import EVIDENCE, Perceptual
from pipeline.explain.masking import check_word
from pipeline.explain.scales import check_scales, first_that_flips
from pipeline.noise import Noise

PURPOSE = "maskdime"


@dataclass(frozen=True)
class Options:
    """What decides one walk down; see `explain`."""

    start: int
    evidence: str
    gradient_scale: float
    l1_weight: float
    perceptual: Perceptual | None
    perceptual_weight: float
    share: float
    inner_share: float
    spread: int

    def __post_init__(self) -> None:
        check_word("evidence", self.evidence, EVIDENCE)
        for name in ("gradient_scale", "l1_weight", "perceptual_weight"):
            if not getattr(self, name) >= 0:
                raise UserError(f"maskdime: {name} is {getattr(self, name)}; use 0 or more, such as 8")
        for name in ("share", "inner_share"):
            if not 0 < getattr(self, name) <= 1:
                raise UserError(f"maskdime: {name} is {getattr(self, name)}; use a share above 0 up to 1, such as 0.5")
        if self.spread < 1 or self.spread % 2 == 0:
            raise UserError(f"maskdime: spread is {self.spread}; use an odd number of pixels, such as 5")


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    region: Tensor | None = None,
    batch_size: int | BatchSize = 16,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 200,
    start: int = 60,
    scales: Sequence[float] = (8.0, 10.0, 15.0),
    evidence: str = "log-odds",
    gradient_scale: float = 8.0,
    l1_weight: float = 0.05,
    perceptual: Perceptual | None = None,
    perceptual_weight: float = 30.0,
    share: float = 0.05,
    inner_share: float = 0.5,
    spread: int = 5,
) -> Counterfactuals:
    """Walk each image down from noise, moved where the classifier's gradient at the estimate of the end is strong.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes; noise: a row for each image; denoiser: on its full schedule.
    region: (N, H, W) bool, True for pixels that may change; None for all. The defaults are those published for CelebA.
    steps, start, scales, evidence, perceptual, perceptual_weight: as DiME's.
    gradient_scale: of all gradients together. l1_weight: of the sum of absolute changes of z.
    share: of the pixels, those with the strongest evidence, for the outer mask. inner_share: of these, for the inner.
    spread: side in pixels, odd, of the square by which both are grown; 5 is published for 128 pixels.

    A step draws nothing but the noise of the original outside, of the very step (not the one below), so that pixels
    that never move end with the little noise of the first step, as published; outside a region they are the original's.
    For each scale tried `start` evaluations of the classifier and of the denoiser, none of which is differentiated;
    and, but for the last of `scales`, one of the classifier to see whether it flipped.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    options = Options(
        start, evidence, gradient_scale, l1_weight, perceptual, perceptual_weight, share, inner_share, spread
    )
    denoiser = replace(denoiser, schedule=respaced(denoiser.schedule, steps))
    if not 1 <= start <= steps:
        raise UserError(f"maskdime: start is {start} of {steps} steps; use 1 to {steps}, such as {-(-steps * 3 // 10)}")
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
        region=region,
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
    region: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The images (N, 3, H, W) in [0, 1] of one scale, and the passes of each through classifier and denoiser."""
    originals, first, schedule = 2 * images - 1, options.start - 1, denoiser.schedule
    outside = noise.for_purpose(f"{noise.purpose}: outside")
    walked = noised_start(denoiser, originals, noise, first)
    inner = torch.zeros_like(images[:, :1], dtype=torch.bool)  # at the first step the classifier sees the image itself
    for step in range(first, -1, -1):
        predicted = denoiser(walked, step, clip=True)
        shown = torch.where(inner, predicted.clean, originals)
        # The evidence alone decides on the masks; the distances join it for the move.
        root = float(schedule.signal[step]) ** 0.5
        evidence = scale / root * slope_at(shown, lambda seen: -EVIDENCE[options.evidence](classifier(seen), targets))
        outer, inner = strongest(evidence, options, region)
        slope = evidence + options.l1_weight * (walked - originals).sign()
        if options.perceptual is not None:
            distance = slope_at(shown, lambda seen: options.perceptual(seen, images))
            slope = slope + options.perceptual_weight / root * distance
        moved = predicted.mean - options.gradient_scale * predicted.variance * slope
        original = schedule.noised(originals, outside.normal(step, images.shape[1:]).to(images), step)
        walked = torch.where(outer, moved, original)
    found = ((walked + 1) / 2).clamp(0, 1)
    if region is not None:
        found = torch.where(region, found, images)
    none = torch.zeros_like(targets)
    return found, none + options.start, none + options.start, none


def slope_at(shown: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The gradient (N, 3, H, W), at images in [-1, 1], of a loss (N,) of the same images in [0, 1]."""
    with torch.enable_grad():
        leaf = shown.detach().requires_grad_()
        return torch.autograd.grad(loss((leaf + 1) / 2).sum(), leaf)[0]


def strongest(evidence: Tensor, options: Options, region: Tensor | None) -> tuple[Tensor, Tensor]:
    """The outer and the inner mask (N, 1, H, W) bool of evidence (N, 3, H, W), inside the region if there is one."""
    strength = evidence.abs().mean(1, keepdim=True)
    if region is not None:
        strength = strength.masked_fill(~region, -1)
    pixels = strength[0].numel()
    outer = max(1, int(options.share * pixels))
    order = strength.flatten(1).topk(outer).indices  # the strongest first
    chosen = (order, order[:, : max(1, int(options.inner_share * outer))])
    marked = [torch.zeros_like(strength).flatten(1).scatter_(1, each, 1).view_as(strength) for each in chosen]
    grown = [
        torch.nn.functional.max_pool2d(each, options.spread, stride=1, padding=options.spread // 2) > 0
        for each in marked
    ]
    outer, inner = grown if region is None else [each & region for each in grown]
    return outer, inner
