"""Occlusion: slide a window over the image, fill it in, and see how far the score falls."""

from collections.abc import Callable

import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.errors import UserError
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.infill.masked import masked_logits
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
    logits = masked_logits(
        classifier,
        images,
        lambda image, mask: masks[mask, None],
        len(masks),
        infill=infill,
        noise=noise.for_purpose(f"{noise.purpose}: in-fill"),
        batch_size=batch_size,
        progress=progress,
    )
    scores = log_odds(logits.flatten(0, 1), targets.cpu().repeat_interleave(len(masks))).view(len(images), -1)
    falls = scores[:, :1] - scores[:, 1:]  # (N, M)
    covered = windows.sum(0)
    maps = torch.stack([(fall[:, None, None] * windows).sum(0) / covered for fall in falls])
    return Maps(maps.to(images.device), None, torch.full((len(images),), len(masks)), None)


def spans(length: int, window: float, stride: float) -> torch.Tensor:
    """The pixels (windows, length), as booleans, that a window covers on its way along one side."""
    size, step = max(1, round(window * length)), max(1, round(stride * length))
    starts = [*range(0, length - size, step), length - size]
    places = torch.arange(length)
    return torch.stack([(places >= start) & (places < start + size) for start in starts])
