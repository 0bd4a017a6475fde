"""BBMP: the smallest deletion that destroys the class, by a continuous mask (Fong & Vedaldi, ICCV 2017).

`explain` is the method as its authors released it; `explain_in_fido` is the baseline of that name inside FIDO's
release, which differs in score, mask, in-fill and schedule. A mask is 1 where the image is kept, 0 where replaced.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from pipeline.classifiers.resize import resize
from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import in_batches
from pipeline.errors import UserError
from pipeline.explain.descent import Descent, optimise, warm_up_weight
from pipeline.explain.disc import disc_masks, probability
from pipeline.explain.maps import Maps
from pipeline.explain.masking import check_word, fill, grid_shape, static_backgrounds
from pipeline.explain.upsampling import Upsampling, bilinear, nearest
from pipeline.infill import Infill, load_infill
from pipeline.infill.heuristics import gaussian_blur, scale_of
from pipeline.noise import Noise

PURPOSE = "bbmp"
CELLS = 28  # of the mask along the height: 8 pixels each at 224, as published
SIGNS = {"ssr": -1.0, "sdr": 1.0}


@dataclass(frozen=True)
class Options:
    """What decides the masks of `explain`. Lengths are in pixels of a 224 pixel image.

    sparsity: probability that deleting one cell of the mask costs.
    total_variation, exponent: weight and power (beta) of the length of the mask's gradient, summed over cells.
    mask_blur: standard deviation of the blur of the upsampled mask.
    through_blur: whether the gradient goes back through that blur; the official code sums over blocks as if there were
        none.
    jitter: the image is enlarged by so many pixels, at least 2, and each step looks at a crop of it; 0 for none.
    start: "disc" for the smallest centred disc whose deletion is as good as deleting all, or noise if there is none;
        "random" for noise.
    """

    sparsity: float = 1e-4
    total_variation: float = 1e-2
    exponent: float = 3.0
    mask_blur: float = 5.0
    through_blur: bool = False
    jitter: float = 4.0
    start: str = "disc"

    def __post_init__(self) -> None:
        check_word("start", self.start, ("disc", "random"))
        if not self.exponent >= 1:
            raise UserError(f"bbmp: exponent is {self.exponent}; use 1 or more, such as 3")
        if not (self.mask_blur >= 0 and self.jitter >= 0):
            raise UserError(f"bbmp: mask_blur is {self.mask_blur} and jitter {self.jitter}; use pixels, 0 or more")


@dataclass(frozen=True)
class Loaded:
    """S images side by side: images (S, 3, H + jitter, W + jitter), nulls likewise or None, targets (S,), noise."""

    images: torch.Tensor
    nulls: torch.Tensor | None
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
    grid: int | None = None,
    steps: int = 300,
    learning_rate: float = 0.1,
    sparsity: float = 1e-4,
    total_variation: float = 1e-2,
    exponent: float = 3.0,
    mask_blur: float = 5.0,
    through_blur: bool = False,
    jitter: float = 4.0,
    start: str = "disc",
) -> Maps:
    """Explain each image by the smallest smooth deletion that takes the target's softmax probability away.

    images: (N, 3, H, W) in [0, 1]; targets: (N,); noise: a row for each image. infill: what replaces the image, by
    default its blur (the published null image); one that looks at the mask is asked at every step, with a hole where
    the mask is below one half (Agarwal & Nguyen 2020).
    grid: cells of the mask along the height; by default 28 at any size, since the weights are for sums over them.
    steps, learning_rate: see `Descent`; the rate is constant. The other options: see `Options`.

    Returns Maps of 1 - mask (N, grid, grid) in [0, 1]: how far each cell is deleted. objective: the loss of the last
    step. Evaluations: steps, and 36 more for each image if the start is a disc.
    """
    require_gradients(classifier, PURPOSE)
    options = Options(sparsity, total_variation, exponent, mask_blur, through_blur, jitter, start)
    descent = Descent(steps, learning_rate, decays=False)
    home, device, infill = images.device, classifier.mean.device, infill or load_infill("blur")
    images, targets, noise = images.to(device), targets.to(device), noise.to(device)
    cells = grid_shape(images, min(CELLS, images.shape[-2]) if grid is None else grid)
    upsampling = nearest(cells, images.shape[-2:], like=images)
    offsets = jitter_pixels(images, jitter)
    height, width = (side + offsets for side in images.shape[-2:])
    enlarged = in_batches(lambda rows: resize(rows, (height, width)), images, batch_size=batch_size)
    nulls = None if infill.per_step else static_backgrounds(infill, enlarged, batch_size)

    def load(rows: list[int]) -> Loaded:
        return Loaded(enlarged[rows], None if nulls is None else nulls[rows], targets[rows], noise.select(rows))

    def gradient(loaded: Loaded, masks: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        return loss_gradient(classifier, infill, loaded, masks, step, options, upsampling)

    masks, searched = random_masks(noise, upsampling), 0
    if start == "disc" and len(images):
        masks, searched = disc_masks(classifier, images, targets, noise, infill, upsampling, masks, batch_size)
    found = optimise(masks, load, gradient, descent, side_by_side=batch_size, bounds=(0, 1), progress=progress)
    taken = torch.full((len(images),), steps)
    return Maps((1 - found.parameters).to(home), found.objective.to(home), taken + searched, taken)


def loss_gradient(
    classifier: Callable[[torch.Tensor], torch.Tensor],
    infill: Infill | None,
    loaded: Loaded,
    masks: torch.Tensor,
    step: int,
    options: Options,
    upsampling: Upsampling,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The gradient (S, h, w) of each image's loss in its mask (S, h, w), and the loss (S,)."""
    height, width = len(upsampling.rows), len(upsampling.columns)
    corners = draw_corners(loaded.noise, step, loaded.images.shape[-2] - height)
    images = crop(loaded.images, corners, (height, width))
    with torch.enable_grad():
        masks = masks.detach().requires_grad_()
        spread = smooth(upsampling(masks), options.mask_blur, options.through_blur)[:, None]
        if loaded.nulls is None:
            backgrounds = fill(infill, images[:, None], spread.detach() >= 0.5, loaded.noise, [step] * len(masks))[:, 0]
        else:
            backgrounds = crop(loaded.nulls, corners, (height, width))
        score = probability(classifier(torch.lerp(backgrounds, images, spread)), loaded.targets)
        deleted = (1 - masks).sum(dim=(1, 2))
        roughness = variation(masks, options.exponent)
        loss = score + options.sparsity * deleted + options.total_variation * roughness
        (gradient,) = torch.autograd.grad(loss.sum(), masks)
    return gradient, loss.detach()


def smooth(masks: torch.Tensor, blur: float, through_blur: bool) -> torch.Tensor:
    """Masks (..., H, W) blurred by `blur` pixels at 224, with or without a gradient that knows of it.

    The official code blurs with Pillow, which comes close to this Gaussian by three boxes.
    """
    if blur == 0:
        return masks
    blurred = gaussian_blur(masks, blur * scale_of(masks), border="edge")
    return blurred if through_blur else masks + (blurred - masks).detach()


def variation(masks: torch.Tensor, exponent: float) -> torch.Tensor:
    """Sum (S,) over cells of (dx^2 + dy^2)^(exponent / 2), with no difference beyond the last row and column.

    Roots have no finite gradient at 0: differences below 1e-5 give none here. The official code has its floor in the
    gradient alone, where the power is below 1e-5: at exponent 3 a difference d below 0.0215 weighs 0.0215 d in it, and
    d^2 here.
    """
    down = torch.nn.functional.pad(masks.diff(dim=1), (0, 0, 0, 1))
    right = torch.nn.functional.pad(masks.diff(dim=2), (0, 1))
    squares = (down * down + right * right).clamp_min(1e-10)
    return (squares ** (exponent / 2)).sum(dim=(1, 2))


def jitter_pixels(images: torch.Tensor, jitter: float) -> int:
    """By how many pixels images (N, 3, H, W) are enlarged for a jitter in pixels at 224: none, or at least 2."""
    return max(2, round(jitter * scale_of(images))) if jitter else 0


def draw_corners(noise: Noise, step: int, offsets: int) -> torch.Tensor:
    """The upper left corner (S, 2) int64 of each image's crop, uniform in 0 .. offsets - 1; zeros if there are none."""
    if offsets == 0:
        return torch.zeros(len(noise), 2, dtype=torch.int64, device=noise.device)
    return (noise.uniform(step, (2,)) * offsets).long()


def crop(images: torch.Tensor, corners: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A window of `size` of each image (S, 3, H, W) from its own corner (S, 2)."""
    slots, channels = images.shape[:2]
    rows, columns = (
        corners[:, side, None] + torch.arange(length, device=images.device) for side, length in enumerate(size)
    )
    everyone = torch.arange(slots, device=images.device)[:, None, None, None]
    colours = torch.arange(channels, device=images.device)[None, :, None, None]
    return images[everyone, colours, rows[:, None, :, None], columns[:, None, None, :]]


def random_masks(noise: Noise, upsampling: Upsampling) -> torch.Tensor:
    """A mask (N, h, w) of uniform noise for each image."""
    if not len(noise):
        return upsampling.area.new_zeros(0, *upsampling.area.shape)
    return noise.for_purpose(f"{noise.purpose}: start").uniform(0, tuple(upsampling.area.shape))


def explain_in_fido(
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
    steps: int = 300,
    learning_rate: float = 0.05,
    sparsity: float = 5e-3,
    total_variation: float = 0.0,
    warm_up: int = 1,
    kept_from: float = 1.0,
    align_corners: bool = False,
) -> Maps:
    """Explain each image as FIDO does, but by one continuous mask (the baseline in FIDO's release, its BBMPNet).

    The mask itself is optimised, from 1 everywhere and clipped to [0, 1], on log-odds; there is no noise, jitter or
    blur. objective, grid, steps, learning_rate (falling to 0), sparsity and total_variation (sums over pixels), warm_up
    and infill are as in `pipeline.explain.fido`, with this baseline's published values.
    kept_from: the mask from which a pixel is no hole for an in-filler that looks at it. At 1, as published, nearly all
    of the image is a hole as soon as the mask has moved; 0.5 is FIDO's rule. align_corners: as `fido.Options`.

    Returns Maps of (N, grid, grid) in [0, 1]: the mask (ssr), or 1 - mask (sdr). Evaluations: steps.
    """
    require_gradients(classifier, "bbmp-fido")
    check_word("objective", objective, SIGNS)
    descent = Descent(steps, learning_rate)
    home, device, infill = images.device, classifier.mean.device, infill or load_infill("blur")
    images, targets, noise = images.to(device), targets.to(device), noise.to(device)
    upsampling = bilinear(grid_shape(images, grid), images.shape[-2:], images, align_corners)
    nulls = None if infill.per_step else static_backgrounds(infill, images, batch_size)

    def load(rows: list[int]) -> Loaded:
        return Loaded(images[rows], None if nulls is None else nulls[rows], targets[rows], noise.select(rows))

    def gradient(loaded: Loaded, masks: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.enable_grad():
            masks = masks.detach().requires_grad_()
            spread, backgrounds = upsampling(masks)[:, None], loaded.nulls
            if backgrounds is None:
                kept = spread.detach() >= kept_from - 1e-5  # a mask of ones may be spread to a rounding below 1
                backgrounds = fill(infill, loaded.images[:, None], kept, loaded.noise, [step] * len(masks))[:, 0]
            evidence = log_odds(classifier(torch.lerp(backgrounds, loaded.images, spread)), loaded.targets)
            counted = masks if objective == "ssr" else 1 - masks
            penalty = sparsity * (upsampling.area * counted).sum(dim=(1, 2))
            penalty = penalty + total_variation * upsampling.total_variation(masks)
            loss = SIGNS[objective] * evidence + warm_up_weight(step, warm_up) * penalty
            (slope,) = torch.autograd.grad(loss.sum(), masks)
        return slope, (SIGNS[objective] * evidence + penalty).detach()

    start = images.new_ones(len(images), *upsampling.area.shape)
    found = optimise(start, load, gradient, descent, side_by_side=batch_size, bounds=(0, 1), progress=progress)
    maps = found.parameters if objective == "ssr" else 1 - found.parameters
    taken = torch.full((len(images),), steps)
    return Maps(maps.to(home), found.objective.to(home), taken, taken)
