"""The disc that BBMP starts from: the smallest in the middle whose deletion is as good as deleting the whole image."""

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.explain.masking import fill, static_backgrounds
from pipeline.explain.upsampling import Upsampling
from pipeline.infill import Infill
from pipeline.infill.heuristics import PUBLISHED_SIDE, gaussian_blur
from pipeline.noise import Noise

RADII = range(0, 175, 5)  # pixels at 224
EDGE = 10.0  # pixels at 224; standard deviation of the blur of a disc's edge
ENOUGH = 0.01  # the share that a disc may leave of what deleting all takes away
SEARCH_STEPS = 2**31  # the search's noise for in-fillers is that of steps which no optimisation reaches


def disc_masks(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    noise: Noise,
    infill: Infill,
    upsampling: Upsampling,
    otherwise: torch.Tensor,
    batch_size: int,
) -> tuple[torch.Tensor, int]:
    """1 - disc (N, h, w) at the grid for each image, and how many evaluations of the classifier each has cost.

    otherwise: (N, h, w) for images that no disc is large enough for. The official code measures what deleting all takes
    away by its largest disc, which then is always large enough, even where deleting it adds evidence; and it takes the
    disc at single pixels of the mask's grid, rounded to 8 bits, where a cell has its mean here.
    """
    height, width = images.shape[-2:]
    discs = keeping_all_but_discs(height, width).to(images)
    keeps = torch.cat([torch.zeros_like(discs[:1]), discs])
    nulls = None if infill.per_step else static_backgrounds(infill, images, batch_size)

    def delete(rows: torch.Tensor, tried: torch.Tensor) -> torch.Tensor:
        chosen, keep = images[rows], keeps[tried][:, None]
        if nulls is None:
            steps = [SEARCH_STEPS + number for number in tried.tolist()]
            backgrounds = fill(infill, chosen[:, None], keep >= 0.5, noise.select(rows), steps)[:, 0]
        else:
            backgrounds = nulls[rows]
        with torch.no_grad():
            return probability(classifier(torch.lerp(backgrounds, chosen, keep)), targets[rows])

    rows = torch.arange(len(images), device=images.device).repeat_interleave(len(keeps))
    tried = torch.arange(len(keeps), device=images.device).repeat(len(images))
    scores = in_batches(delete, rows, tried, batch_size=batch_size).unflatten(0, (len(images), len(keeps)))
    null, original, left = scores[:, :1], scores[:, 1:2], scores[:, 1:]
    enough = (left - null < ENOUGH * (original - null)) & (null < original)
    smallest = block_means(discs, upsampling)[enough.int().argmax(dim=1)]
    return torch.where(enough.any(dim=1)[:, None, None], smallest, otherwise), len(keeps)


def probability(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Softmax probability (N,) of the targets."""
    return logits.softmax(dim=1).gather(1, targets[:, None])[:, 0]


def keeping_all_but_discs(height: int, width: int) -> torch.Tensor:
    """Masks (35, H, W) in [0, 1]: 0 in a centred disc of each radius, with soft edges; the first keeps everything.

    On an oblong image they are ellipses. Those of the official code are centred on a pixel, half a pixel below and
    right of the middle, so that its first, of radius 0, is that pixel.
    """
    rows = (torch.arange(height) + 0.5) / height - 0.5
    columns = (torch.arange(width) + 0.5) / width - 0.5
    distance = PUBLISHED_SIDE * (rows[:, None] ** 2 + columns**2).sqrt()
    discs = torch.stack([(distance < radius).float() for radius in RADII])
    return 1 - gaussian_blur(discs, EDGE * (height * width) ** 0.5 / PUBLISHED_SIDE, border="edge")


def block_means(masks: torch.Tensor, upsampling: Upsampling) -> torch.Tensor:
    """The mean (..., h, w) of masks (..., H, W) over the pixels of each cell."""
    rows, columns = (side / side.sum(dim=0) for side in (upsampling.rows, upsampling.columns))
    return (rows.T @ masks @ columns).clamp(0, 1)
