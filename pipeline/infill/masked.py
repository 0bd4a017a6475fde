"""What a classifier says of images under many masks, with an in-filler in the holes."""

from collections.abc import Callable

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.infill import Infill
from pipeline.noise import Noise


def masked_logits(
    classifier: Classifier,
    images: torch.Tensor,
    keep_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    masks: int,
    *,
    infill: Infill | None,
    noise: Noise,
    batch_size: int,
    progress: Callable[[int], object] | None = None,
) -> torch.Tensor:
    """Logits (N, masks, K) of images (N, 3, H, W) in [0, 1], each under `masks` masks; on the CPU.

    keep_of: takes positions of images (B,) and numbers of masks (B,), both on the CPU; returns keep (B, 1, H, W), 1
    for kept and 0 for filled in. infill: the mean colour of each image without one. noise: a row for each image; all
    masks of an image see the same draw, so that answers differ by the mask alone. progress: called with the number of
    images just finished.
    """
    device = classifier.mean.device
    noise, fixed = noise.to(device), None
    if infill is None or not infill.per_step:
        fixed = in_batches(
            lambda rows: background(infill, images[rows.to(images.device)].to(device), noise.select(rows)),
            torch.arange(len(images)),
            batch_size=batch_size,
            device=device,
        )

    def answer(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.cpu()
        image, mask = rows // masks, rows % masks
        inputs = images[image.to(images.device)].to(device)
        keep = keep_of(image, mask).to(inputs)
        filled = infill(inputs, keep, noise=noise.select(image), step=0) if fixed is None else fixed[image].to(device)
        with torch.no_grad():
            return classifier(keep * inputs + (1 - keep) * filled)

    logits = in_batches(
        answer,
        torch.arange(len(images) * masks),
        batch_size=batch_size,
        device=device,
        progress=None if progress is None else whole_images(progress, masks),
    )
    return logits.unflatten(0, (len(images), masks))


def background(infill: Infill | None, images: torch.Tensor, noise: Noise) -> torch.Tensor:
    """What an in-filler that ignores the mask shows (N, 3, H, W); the mean colour of each image without one."""
    if infill is None:
        return images.mean(dim=(2, 3), keepdim=True).expand_as(images)
    return infill(images, torch.zeros_like(images[:, :1]), noise=noise, step=0)


def whole_images(progress: Callable[[int], object], masks: int) -> Callable[[int], None]:
    """Progress in images, called with numbers of rows, of which each image has `masks`."""
    rows = 0

    def advance(count: int) -> None:
        nonlocal rows
        before, rows = rows // masks, rows + count
        progress(rows // masks - before)

    return advance
