"""Features of images, from a classifier of our own: what the perceptual metrics compare where no published network is.

A network of features is a module with
    name       what the column `network` says
    forward    images (N, 3, H, W) in [0, 1] -> one vector each (N, D)
    layers     images -> feature maps (N, C, h, w) of several depths; only what measures a perceptual distance has it
    weights    one number for each channel (C,) of each layer, or None for 1 throughout
"""

from collections.abc import Callable

import numpy as np
import torch

from pipeline.classifiers.resize import resize
from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.errors import UserError


class ClassifierFeatures(torch.nn.Module):
    """What a timm network sees: the output of each of its stages, and the vector that its heads read.

    The classifier resizes and normalises images as its training assumed. It should not be one that was explained, nor
    an oracle: distances in the space of a judge favour what pleases it. Raises UserError for a network not of timm.
    """

    weights = None

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        if not all(hasattr(classifier.network, part) for part in ("forward_intermediates", "forward_head")):
            raise UserError(
                f"network '{classifier.name}' has no layers to read features from; use a timm network, such as"
                " `file: data/classifiers/portraits-features.safetensors`."
            )
        self.name = classifier.name
        self.classifier = classifier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The vector (N, D) before the heads, of images (N, C, H, W) in [0, 1]."""
        network = self.classifier.network
        return network.forward_head(network.forward_features(self.classifier.prepare(images)), pre_logits=True)

    def layers(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The output (N, C, h, w) of each stage, from the finest to the coarsest."""
        prepared = self.classifier.prepare(images)
        return tuple(self.classifier.network.forward_intermediates(prepared, intermediates_only=True))


class SmallPixels(torch.nn.Module):
    """The pixels themselves, at 16 x 16: what says which images are alike where a study names no network."""

    name = "pixels"
    side = 16

    def __init__(self) -> None:
        super().__init__()
        self.where = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The values (N, C * 256) of images (N, C, H, W)."""
        return resize(images, self.side).flatten(1)


def features_of(
    network: torch.nn.Module,
    images: torch.Tensor,
    *,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
) -> np.ndarray:
    """The feature vectors, float64 (N, D), of images (N, 3, H, W) in [0, 1], computed where the network is."""
    with torch.no_grad():
        vectors = in_batches(network, images, batch_size=batch_size, device=device_of(network), progress=progress)
    return vectors.cpu().double().numpy()


def device_of(network: torch.nn.Module) -> torch.device:
    """Where a network is."""
    return next(network.parameters()).device
