"""Occlusion: slide a window over the image, fill it in, and see how far the score falls."""

from collections.abc import Callable

import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.device import in_batches
from pipeline.errors import UserError
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.noise import Noise

PURPOSE = "occlusion"


def explain(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    window: float = 0.25,
    stride: float = 0.125,
) -> Maps:
    """How far the log-odds fall when a window is filled in, averaged over the windows that hold a pixel.

    Zeiler & Fergus 2014, section 4.2, with the average of captum's Occlusion; that one evaluates the image and the
    last windows at shapes of their own, so here rows = images x windows fill batches of one shape.
    images: (N, 3, H, W) in [0, 1]; targets: (N,) indices of classes.
    infill: what the window shows; the mean colour of the image without one.
    window, stride: as shares of each side; the last window ends where the image ends.

    Returns maps (N, H, W), above 0 where the pixels speak for the target; network evaluations: windows + 1.
    """
    height, width = images.shape[-2:]
    if not (0 < window <= 1 and 0 < stride <= window):
        raise UserError(
            f"method 'occlusion': window is {window} and stride {stride}; use shares of the side above 0 and at most 1,"
            " with no stride wider than the window, such as window: 0.25 and stride: 0.125."
        )
    rows, columns = spans(height, window, stride), spans(width, window, stride)
    windows = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(0, 1)  # (M, H, W)
    masks = torch.cat([torch.ones(1, height, width), 1.0 - windows.float()])
    scores = masked_log_odds(
        classifier,
        images,
        targets,
        lambda image, mask: masks[mask, None],
        len(masks),
        infill=infill,
        noise=noise,
        batch_size=batch_size,
        progress=progress,
    )
    falls = scores[:, :1] - scores[:, 1:]  # (N, M)
    covered = windows.sum(0)
    maps = torch.stack([(fall[:, None, None].cpu() * windows).sum(0) / covered for fall in falls])
    return Maps(maps.to(images.device), None, torch.full((len(images),), len(masks)), None)


def spans(length: int, window: float, stride: float) -> torch.Tensor:
    """The pixels (windows, length), as booleans, that a window covers on its way along one side."""
    size, step = max(1, round(window * length)), max(1, round(stride * length))
    starts = [*range(0, length - size, step), length - size]
    places = torch.arange(length)
    return torch.stack([(places >= start) & (places < start + size) for start in starts])


def masked_log_odds(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    keep_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    masks: int,
    *,
    infill: Infill | None,
    noise: Noise,
    batch_size: int,
    progress: Callable[[int], object] | None = None,
) -> torch.Tensor:
    """Log-odds (N, masks) of the targets (N,) in images (N, 3, H, W), each under `masks` masks.

    keep_of: takes positions of images (B,) and numbers of masks (B,), both on the CPU; returns keep (B, 1, H, W), 1
    for kept and 0 for filled in. All masks of an image see the same draw of the in-filler, so that scores differ by
    the mask alone. progress: called with the number of images just finished.
    """
    device = classifier.mean.device
    noise = noise.for_purpose(f"{noise.purpose}: in-fill").to(device)
    fixed = None
    if infill is None or not infill.per_step:
        fixed = in_batches(
            lambda rows: background(infill, images[rows.to(images.device)].to(device), noise.select(rows)),
            torch.arange(len(images)),
            batch_size=batch_size,
            device=device,
        )

    def score_rows(rows: torch.Tensor) -> torch.Tensor:
        rows = rows.cpu()
        image, mask = rows // masks, rows % masks
        inputs = images[image.to(images.device)].to(device)
        keep = keep_of(image, mask).to(inputs)
        filled = infill(inputs, keep, noise=noise.select(image), step=0) if fixed is None else fixed[image].to(device)
        with torch.no_grad():
            return log_odds(classifier(keep * inputs + (1 - keep) * filled), targets[image.to(targets.device)])

    scores = in_batches(
        score_rows,
        torch.arange(len(images) * masks),
        batch_size=batch_size,
        device=device,
        progress=None if progress is None else whole_images(progress, masks),
    )
    return scores.view(len(images), masks)


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
