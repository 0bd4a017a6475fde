"""A map drawn at random: the control that every other map has to beat."""

from collections.abc import Callable

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.noise import Noise

PURPOSE = "random-map"


def explain(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    smooth: float = 0.0,
) -> Maps:
    """Uniform noise in (0, 1) for each pixel, from the stream of the image; asks the classifier nothing.

    images: (N, 3, H, W). smooth: standard deviation, as a share of the side, of a Gaussian that blurs the noise into
    blobs (borders mirrored): a control for maps that are smooth themselves.

    Returns maps (N, H, W); no network evaluations.
    """
    if not 0 <= smooth <= 1:
        raise UserError(f"method 'random': smooth is {smooth}; use a share of the side from 0 to 1, such as 0.1")
    height, width = images.shape[-2:]
    maps = noise.uniform(0, (height, width)).to(images.device)
    if smooth > 0:
        from scipy.ndimage import gaussian_filter

        blurred = [gaussian_filter(map.numpy(), (smooth * height, smooth * width)) for map in maps.cpu()]
        maps = torch.stack([torch.from_numpy(each) for each in blurred]).to(images.device)
    if progress is not None:
        progress(len(images))
    return Maps(maps, None, torch.zeros(len(images), dtype=torch.int64), None)
