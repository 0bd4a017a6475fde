"""Small networks of the published kinds, with weights that are not zero anywhere."""

import pytest
import torch

from pipeline.diffusion.unet import UNet
from pipeline.unet_shape import Shape

SMALL = {"channels": 32, "multipliers": (1, 2), "blocks": 1, "attention": (8,), "head_channels": 16}


def small_unet(seed: int = 0, **changed) -> UNet:
    """A U-Net of 16 pixels; its zero-initialised layers get weights too, so that everything counts."""
    torch.manual_seed(seed)
    network = UNet(Shape(**{"size": 16, **SMALL, **changed}))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return network.eval()


@pytest.fixture
def unet() -> UNet:
    return small_unet()
