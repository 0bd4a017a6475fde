"""Bottleneck ResNets, as deep and as wide as weights with torchvision's names say."""

from collections.abc import Mapping

import torch


def bottleneck_resnet(state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """A network with fresh weights of the depths and widths of `state`, without what follows its average pooling.

    Raises KeyError or ValueError where the weights are not those of such a network.
    """
    from timm.models.resnet import Bottleneck, ResNet

    stages = [f"layer{number}" for number in range(1, 5)]
    widths = [len(state[f"{stage}.0.conv1.weight"]) for stage in stages]
    return ResNet(Bottleneck, [depth_of(stage, state) for stage in stages], channels=widths, num_classes=0)


def depth_of(stage: str, state: Mapping[str, torch.Tensor]) -> int:
    """How many blocks a stage has; ValueError if it has none."""
    return 1 + max(int(key.split(".")[1]) for key in state if key.startswith(f"{stage}."))
