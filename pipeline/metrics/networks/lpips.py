"""LPIPS of Zhang et al. 2018, version 0.1: torchvision's AlexNet or VGG-16 with one weight for each channel."""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import torch
import torchvision

from pipeline.errors import UserError
from pipeline.metrics.networks.files import fitted, part_of, per_channel, read_weights

# Where the layers that are compared end (after a rectifier), within torchvision's `features`.
BACKBONES = {"alex": ("alexnet", (2, 5, 8, 10, 12)), "vgg": ("vgg16", (4, 9, 16, 23, 30))}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of images in [-1, 1]


def load_lpips(
    backbone: str | Path,
    *,
    network: str = "alex",
    linear: str | Path | None = None,
    sha256: str | None = None,
    linear_sha256: str | None = None,
) -> "Lpips":
    """LPIPS from local files, with network "alex" (as Vaeth et al. 2023) or "vgg" (as sigma_L).

    backbone: torchvision's ImageNet weights, such as alexnet-owt-7be5be79.pth or vgg16-397923af.pth. linear: the
    weights of the channels, alex.pth or vgg.pth of version 0.1; None for the copy that torchmetrics brings along.
    Raises UserError for another network, and for missing, altered or unsuitable files.
    """
    if network not in BACKBONES:
        raise UserError(f"network 'lpips': there is no LPIPS with '{network}'; use alex or vgg")
    name = f"lpips-{network}"
    architecture, ends = BACKBONES[network]
    with torch.device("meta"):  # the classifier's hundred million weights are never needed
        features = getattr(torchvision.models, architecture)(weights=None).features
    state = part_of(name, backbone, read_weights(name, backbone, sha256), "features.", ["classifier."])
    features = fitted(name, backbone, features.to_empty(device="cpu"), state)
    linear = bundled(network) if linear is None else linear
    return Lpips(name, features, ends, channel_weights(name, linear, read_weights(name, linear, linear_sha256)))


class Lpips(torch.nn.Module):
    """The network of `perceptual_distance` that makes it LPIPS: `layers`, and `weights` (C,) for each."""

    def __init__(self, name: str, features: torch.nn.Sequential, ends: tuple[int, ...], weights: list[torch.Tensor]):
        super().__init__()
        self.name = name
        self.slices = torch.nn.ModuleList(features[start:end] for start, end in pairwise((0, *ends)))
        self.linear = torch.nn.ParameterList(torch.nn.Parameter(weight, requires_grad=False) for weight in weights)
        self.register_buffer("shift", per_channel(SHIFT), persistent=False)
        self.register_buffer("scale", per_channel(SCALE), persistent=False)

    @property
    def weights(self) -> list[torch.Tensor]:
        return list(self.linear)

    def layers(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Five layers (N, C, h, w) of images (N, 3, H, W) in [0, 1], at the size that they have."""
        found = []
        features = (2 * images - 1 - self.shift) / self.scale
        for part in self.slices:
            features = part(features)
            found.append(features)
        return tuple(found)


def channel_weights(name: str, path: str | Path, state: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The weights (C,) of each layer from an official file; UserError if it is none."""
    expected = [f"lin{layer}.model.1.weight" for layer in range(len(BACKBONES["alex"][1]))]
    if sorted(state) != expected:
        raise UserError(f"network '{name}': {path} is no LPIPS file; get alex.pth or vgg.pth of its version 0.1.")
    return [state[key].float().flatten() for key in expected]


def bundled(network: str) -> Path:
    """The channel weights that lie in the installed torchmetrics, found without importing it."""
    (folder,) = find_spec("torchmetrics").submodule_search_locations
    return Path(folder, "functional", "image", "lpips_models", f"{network}.pth")
