"""Denoisers and classifiers for tests of guided diffusion, and counters of the passes through them."""

from collections import Counter
from dataclasses import dataclass, field

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.unet_shape import Shape
from tests.diffusion.conftest import SMALL, small_unet
from tests.explain.planted import SIDE, conv_classifier

FULL = full_schedule("linear", 1000)
SHALLOW = {**SMALL, "multipliers": (1,), "attention": ()}  # a real U-Net of one level, at half the time of two


def shallow_unet(seed: int = 0) -> UNet:
    """A U-Net of 16 pixels and one level, the same each time."""
    return small_unet(seed, **SHALLOW)


def tiny_denoiser(recompute: str = "nothing") -> Denoiser:
    """A real U-Net with frozen weights, the same each time."""
    network = shallow_unet(3).requires_grad_(False)
    for parameter in network.parameters():
        parameter.data *= 1.3  # so that its Jacobian is far from the identity
    network.recompute(recompute)
    return Denoiser(network, FULL)


def tiny_guide(classes: int = 3) -> NoisyClassifier:
    """A real classifier of noised images, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        guide = NoisyClassifier(Shape(**{"size": SIDE, **SHALLOW, "out_channels": classes}))
        for parameter in guide.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return guide.requires_grad_(False).eval()


def other_classifier(seed: int = 9) -> Classifier:
    """As `conv_classifier`, of the same classes, with other weights and smooth throughout."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = torch.nn.Sequential(
            torch.nn.Conv2d(3, 6, 5, stride=2), torch.nn.Tanh(), torch.nn.Conv2d(6, 3, 6), torch.nn.Flatten()
        )
    return Classifier(network, name="helper", heads={"kind": conv_classifier().classes})


class GaussianData(torch.nn.Module):
    """The exact noise predictor for images in [-1, 1] whose pixels are independent normal numbers."""

    def __init__(self, mean: float, deviation: float):
        super().__init__()
        self.mean, self.variance = mean, deviation**2

    def forward(self, noised, timesteps):
        kept = float(FULL.signal[int(timesteps[0])])
        spread = self.variance * kept + 1 - kept
        clean = ((1 - kept) * self.mean + self.variance * kept**0.5 * noised) / spread
        return (noised - kept**0.5 * clean) / (1 - kept) ** 0.5


class Brightness(torch.nn.Module):
    """Log-odds of class 1 grow with the mean of an image in [0, 1], and are 0 at one half; times `sign`."""

    def __init__(self, sign: float = 1.0):
        super().__init__()
        self.slope = 400.0 * sign

    def forward(self, images):
        odds = self.slope * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-odds / 2, odds / 2], dim=1)


def brightness_classifier(sign: float = 1.0) -> Classifier:
    return Classifier(Brightness(sign), name="brightness", heads={"light": ["dark", "bright"]})


@dataclass
class Passes:
    """Passes of batches through networks, and whether a forward was made with a graph."""

    forward: Counter = field(default_factory=Counter)
    backward: Counter = field(default_factory=Counter)
    with_graph: Counter = field(default_factory=Counter)

    def count(self, name: str, network: torch.nn.Module) -> None:
        """Count the passes of `network` under `name` from now on."""

        def after(module, inputs, output):
            self.forward[name] += 1
            self.with_graph[name] += output.requires_grad

        def behind(module, inputs, outputs):
            self.backward[name] += 1

        network.register_forward_hook(after)
        network.register_full_backward_hook(behind)
