"""FIDO: which pixels, plausibly in-filled, change the decision (Chang, Creager, Goldenberg & Duvenaud, ICLR 2019).

A mask is a product of Bernoulli variables on a coarse grid, relaxed to Concrete ones (Maddison et al. 2017). Its drop
logits are optimised by gradient through the classifier, on images whose dropped pixels an in-filler has filled:

    smallest sufficient region (ssr)   minimise  -E[log-odds(blend)] + weight * (sparsity * pixels kept    + variation)
    smallest destroying region (sdr)   minimise  +E[log-odds(blend)] + weight * (sparsity * pixels dropped + variation)

The functions below follow the equations: masks, blend, loss. Everything is in logits: the probabilities to drop and to
keep are spread over the pixels each by itself, exact to rounding however small, and their ratio is the odds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.errors import UserError
from pipeline.explain.descent import Descent, Optimised, optimise, warm_up_weight
from pipeline.explain.maps import Maps
from pipeline.explain.masking import check_word, fill, grid_shape, static_backgrounds
from pipeline.explain.upsampling import Upsampling, bilinear
from pipeline.infill import Infill, load_infill
from pipeline.noise import Noise

PURPOSE = "fido"
SIGNS = {"ssr": -1.0, "sdr": 1.0}
"""Of the log-odds in the loss of each objective."""
LARGEST_LOGIT = 80.0  # beyond, a probability is no normal float32 number; the published settings stay below 20

SMALLEST_DRAW = 2.0**-24  # as Noise.uniform; a shifted draw may be rounded to 0 or 1, whose logits are infinite


@dataclass(frozen=True)
class Options:
    """What decides the masks of one step.

    objective: "ssr" keeps as little as preserves the target; "sdr" drops as little as destroys it.
    masks: Monte-Carlo samples of the mask for each step.
    sparsity: log-odds that one pixel kept (ssr) or dropped (sdr) costs. At 1e-3 the whole of a 224 pixel image costs
        50 of them, that of a 64 pixel image 4.1.
    total_variation: weight of the squared differences between neighbouring pixels' drop probabilities; 0 as published.
    temperature: of the Concrete relaxation.
    warm_up: steps over which the regulariser grows from nothing to its full weight.
    noise_at: "pixel" drops the pixels of a cell independently (the official code); "cell" samples the grid and spreads
        the samples, so that the pixels of a cell fall together (the usual reading of the paper).
    draws: how the M masks of a step share their uniform noise. "independent" as published; "antithetic" in pairs u and
        1 - u; "stratified" one u for all, mask m taking u + m / M modulo 1. Each mask has the same distribution either
        way; stratified ones cover it evenly, for less variance of the gradient at an Mth of the noise
        (benchmarks/fido_variance.py).
    align_corners: of the upsampling from grid to pixels, see `bilinear`. True is as published (the official code is of
        torch 0.3, which knew nothing else): cells at the border then stand for fewer pixels than those within.
    """

    objective: str = "ssr"
    masks: int = 8
    sparsity: float = 1e-3
    total_variation: float = 0.0
    temperature: float = 0.1
    warm_up: int = 30
    noise_at: str = "pixel"
    draws: str = "stratified"
    align_corners: bool = False

    def __post_init__(self) -> None:
        check_word("objective", self.objective, SIGNS)
        check_word("noise_at", self.noise_at, ("pixel", "cell"))
        check_word("draws", self.draws, ("independent", "antithetic", "stratified"))
        if self.masks < 1:
            raise UserError(f"fido: masks is {self.masks}; use 1 or more, such as 8")
        if not self.temperature > 0:
            raise UserError(f"fido: temperature is {self.temperature}; use a number above 0, such as 0.1")
        if self.warm_up < 0:
            raise UserError(f"fido: warm_up is {self.warm_up}; use 0 steps or more, such as 30")


@dataclass(frozen=True)
class Loaded:
    """S images side by side, with M masks each.

    images: (S, 1, 3, H, W). backgrounds: (S, 1, 3, H, W), or None if the in-filler is asked at every step.
    targets: (S * M,) the class of each row. noise: a row for each image.
    """

    images: torch.Tensor
    backgrounds: torch.Tensor | None
    targets: torch.Tensor
    noise: Noise


def explain(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] = lambda images: None,
    objective: str = "ssr",
    grid: int | None = None,
    masks: int = 8,
    steps: int = 300,
    learning_rate: float = 0.05,
    sparsity: float = 1e-3,
    total_variation: float = 0.0,
    temperature: float = 0.1,
    warm_up: int = 30,
    noise_at: str = "pixel",
    draws: str = "stratified",
    align_corners: bool = False,
) -> Maps:
    """Explain each image by the smallest region that suffices for, or destroys, its target class.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes; noise: a row for each image; infill: blur, if none is given.
    batch_size: rows of the classifier at once; batch_size // masks images (at least one) are optimised side by side.
    grid: cells of the mask along the height; by default one for four pixels (56 at 224, as published).
    steps, learning_rate: see `Descent`; the rate falls to 0. The other options: see `Options`.

    Returns Maps of (N, grid, grid): the probability to keep (ssr) or to drop (sdr), in [0, 1]. The official code
    spreads the logits to full resolution and subtracts 0.5, though it spreads probabilities when it trains. objective:
    the loss of the last step's masks with the full weight of the regulariser. Evaluations: steps * masks for each.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    options = Options(objective, masks, sparsity, total_variation, temperature, warm_up, noise_at, draws, align_corners)
    descent = Descent(steps, learning_rate)
    found = optimise_logits(
        classifier, images, targets, noise, infill or load_infill("blur"), options, descent, grid, batch_size, progress
    )
    maps = torch.sigmoid(SIGNS[objective] * found.parameters)
    taken = torch.full((len(images),), steps)
    return Maps(maps.to(images.device), found.objective.to(images.device), taken * masks, taken)


def optimise_logits(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    noise: Noise,
    infill: Infill,
    options: Options,
    descent: Descent,
    grid: int | None,
    batch_size: int,
    progress: Callable[[int], object],
) -> Optimised:
    """The drop logits (N, h, w) of every image, from 0 (each pixel dropped with probability one half) downhill."""
    device, side_by_side = classifier.mean.device, max(1, batch_size // options.masks)
    images, targets, noise = images.to(device), targets.to(device), noise.to(device)
    upsampling = bilinear(grid_shape(images, grid), images.shape[-2:], images, options.align_corners)
    static = None if infill.per_step else static_backgrounds(infill, images, side_by_side)

    def load(rows: list[int]) -> Loaded:
        backgrounds = None if static is None else static[rows, None]
        return Loaded(
            images[rows, None], backgrounds, targets[rows].repeat_interleave(options.masks), noise.select(rows)
        )

    def gradient(loaded: Loaded, logits: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        logistic = draw_logistic(loaded.noise, step, options, upsampling)
        return loss_gradient(classifier, loaded, infill, logits, logistic, step, options, upsampling)

    start = images.new_zeros(len(images), *upsampling.area.shape)
    bounds = (-LARGEST_LOGIT, LARGEST_LOGIT)
    return optimise(start, load, gradient, descent, side_by_side=side_by_side, bounds=bounds, progress=progress)


def loss_gradient(
    classifier: Callable[[torch.Tensor], torch.Tensor],
    loaded: Loaded,
    infill: Infill | None,
    logits: torch.Tensor,
    logistic: torch.Tensor,
    step: int,
    options: Options,
    upsampling: Upsampling,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient (S, h, w) of each image's loss in its drop logits (S, h, w), and its objective (S,).

    logistic: (S, M, ...) from `draw_logistic`. step: decides the weight of the regulariser; the objective has it in
    full. Only the blend lets the gradient through, never the in-filler.
    """
    sign = SIGNS[options.objective]
    with torch.enable_grad():
        logits = logits.detach().requires_grad_()
        keep = sample_keep(logits, logistic, options, upsampling)
        backgrounds = loaded.backgrounds
        if backgrounds is None:
            backgrounds = fill(infill, loaded.images, keep.detach() >= 0.5, loaded.noise, [step] * len(logits))
        blended = torch.lerp(backgrounds, loaded.images, keep[:, :, None])
        evidence = log_odds(classifier(blended.flatten(0, 1)), loaded.targets).unflatten(0, keep.shape[:2]).mean(1)
        penalty = regulariser(logits, options, upsampling)
        weight = warm_up_weight(step, options.warm_up)
        (gradient,) = torch.autograd.grad((sign * evidence + weight * penalty).sum(), logits)
    return gradient, (sign * evidence + penalty).detach()


def draw_logistic(noise: Noise, step: int, options: Options, upsampling: Upsampling) -> torch.Tensor:
    """Logistic noise of a step: (S, M, H, W) at pixels, (S, M, h, w) at cells."""
    masks = options.masks
    drawn = {"independent": masks, "antithetic": (masks + 1) // 2, "stratified": 1}[options.draws]
    at_pixels = options.noise_at == "pixel"
    size = (len(upsampling.rows), len(upsampling.columns)) if at_pixels else upsampling.area.shape
    uniform = noise.uniform(step, (drawn, *size))
    if options.draws == "stratified":
        shifts = torch.arange(masks, device=uniform.device)[:, None, None] / masks
        return torch.logit((uniform + shifts).frac_(), eps=SMALLEST_DRAW)
    logistic = torch.logit(uniform)
    return torch.cat([logistic, -logistic], dim=1)[:, :masks] if options.draws == "antithetic" else logistic


def sample_keep(logits: torch.Tensor, logistic: torch.Tensor, options: Options, upsampling: Upsampling) -> torch.Tensor:
    """Relaxed masks (S, M, H, W) in [0, 1], 1 for a pixel kept, from drop logits (S, h, w) and noise (S, M, ...)."""
    at_pixels = options.noise_at == "pixel"
    odds = spread_logits(logits, upsampling) if at_pixels else logits
    keep = torch.sigmoid(-(odds[:, None] + logistic) / options.temperature)
    return keep if at_pixels else upsampling(keep)


def spread_logits(logits: torch.Tensor, upsampling: Upsampling) -> torch.Tensor:
    """The logits (S, H, W) of the upsampled probabilities U(p), from the logits (S, h, w) of p.

    1 - U(p) = U(1 - p), since U averages; both are sums of positive numbers, so that no digit is lost at either end.
    """
    if upsampling.is_identity:
        return logits
    return upsampling(torch.sigmoid(logits)).log() - upsampling(torch.sigmoid(-logits)).log()


def regulariser(logits: torch.Tensor, options: Options, upsampling: Upsampling) -> torch.Tensor:
    """sparsity * expected pixels kept (ssr) or dropped (sdr) + total_variation * variation: (S,), from the grid."""
    penalty = options.sparsity * (upsampling.area * torch.sigmoid(SIGNS[options.objective] * logits)).sum(dim=(1, 2))
    if options.total_variation:
        penalty = penalty + options.total_variation * upsampling.total_variation(torch.sigmoid(logits))
    return penalty
