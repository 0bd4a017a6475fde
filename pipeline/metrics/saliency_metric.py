"""The saliency metric: how small a crop still shows the class to the classifier?"""

from collections.abc import Callable

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches

SMALLEST_SHARE = 0.05  # of the image; so that tiny boxes are not rewarded


def saliency_metric(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    boxes: np.ndarray,
    *,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> torch.Tensor:
    """log(max(a, 0.05)) - log p, lower is better (Dabkowski & Gal 2017), as float32 (N,).

    a: share of the image (N, 3, H, W) that its box holds; p: probability of the target (N,) that the classifier gives
    to the crop, resized bicubically to the size of the image. boxes: (N, 4) whole pixels (x0, y0, x1, y1), x1 and y1
    outside. The full image has -log p. One network evaluation for each image.
    """

    def log_probability(rows: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        crops = torch.stack([crop_resized(images[row], boxes[row]) for row in rows.tolist()]).to(rows.device)
        with torch.no_grad():
            return classifier(crops).log_softmax(1).gather(1, targets[:, None])[:, 0]

    probabilities = in_batches(
        log_probability,
        torch.arange(len(images)),
        targets.cpu(),
        batch_size=batch_size,
        device=classifier.mean.device,
        progress=progress,
    )
    boxes = np.asarray(boxes)
    shares = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]) / (images.shape[-2] * images.shape[-1])
    return torch.from_numpy(np.log(np.maximum(shares, SMALLEST_SHARE))).float() - probabilities


def crop_resized(image: torch.Tensor, box: np.ndarray) -> torch.Tensor:
    """The box (4,) of an image (3, H, W) in [0, 1], at the size of the image; what bicubic overshoots is cut off."""
    height, width = image.shape[-2:]
    x0, y0, x1, y1 = (int(edge) for edge in box)
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"box {[x0, y0, x1, y1]} is empty or leaves the image of {height} x {width} pixels")
    crop = image[None, :, y0:y1, x0:x1]
    if crop.shape[-2:] == (height, width):
        return image
    resized = torch.nn.functional.interpolate(crop, (height, width), mode="bicubic", align_corners=False)
    return resized[0].clamp(0, 1)
