"""The Inception network of FID and KID, in the torch format of Seitzer's pytorch-fid (pt_inception-2015-12-05).

Its weights are those of the TensorFlow graph that Heusel et al. 2017 used. It is torchvision's Inception v3 but for
1,008 outputs and the pooling branches: averages leave out the padding, and the last block takes the maximum.
"""

from pathlib import Path

import torch
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d
from torchvision.models import inception_v3
from torchvision.models.inception import InceptionA, InceptionC, InceptionE

from pipeline.errors import UserError
from pipeline.metrics.networks.files import fitted, read_weights

SIZE = 299
STAGES = {
    64: ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1"),
    192: ("Conv2d_3b_1x1", "Conv2d_4a_3x3", "maxpool2"),
    768: ("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    2048: ("Mixed_7a", "Mixed_7b", "Mixed_7c"),
}
"""The number of features that can be read, and the blocks up to there from those before."""


def load_inception(path: str | Path, *, features: int = 2048, sha256: str | None = None) -> "Inception":
    """The network from a local file, giving 64, 192, 768 or 2048 features; Vaeth et al. 2023 use 64.

    Raises UserError for another number of features, and for a missing, altered or unsuitable file.
    """
    if features not in STAGES:
        raise UserError(
            f"network 'inception': features is {features}; use 64, 192, 768 or 2048, as FID does by default"
        )
    network = fitted("inception", path, build_network(), read_weights("inception", path, sha256))
    return Inception(network, features)


class Inception(torch.nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> features (N, D), averaged over the places of the chosen block.

    As in pytorch-fid, images are resized to 299 pixels bilinearly, without antialiasing.
    """

    def __init__(self, network: torch.nn.Module, features: int) -> None:
        super().__init__()
        self.name = f"inception-{features}"
        wanted = [block for width, blocks in STAGES.items() if width <= features for block in blocks]
        self.blocks = torch.nn.Sequential(*(getattr(network, block) for block in wanted))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        resized = interpolate(images, size=(SIZE, SIZE), mode="bilinear", align_corners=False)
        return self.blocks(2 * resized - 1).mean((2, 3))


def build_network() -> torch.nn.Module:
    """The network of FID with fresh weights."""
    network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
    network.Mixed_5b = BlockA(192, pool_features=32)
    network.Mixed_5c = BlockA(256, pool_features=64)
    network.Mixed_5d = BlockA(288, pool_features=64)
    network.Mixed_6b = BlockC(768, channels_7x7=128)
    network.Mixed_6c = BlockC(768, channels_7x7=160)
    network.Mixed_6d = BlockC(768, channels_7x7=160)
    network.Mixed_6e = BlockC(768, channels_7x7=192)
    network.Mixed_7b = BlockE(1280)
    network.Mixed_7c = LastBlockE(2048)
    return network


class AveragesInside:
    """A block of torchvision's Inception whose pooling branch averages over what lies inside the image only."""

    def _forward(self, features: torch.Tensor) -> list[torch.Tensor]:
        *others, _ = super()._forward(features)
        return [*others, self.branch_pool(self.pooled(features))]

    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)


class BlockA(AveragesInside, InceptionA):
    pass


class BlockC(AveragesInside, InceptionC):
    pass


class BlockE(AveragesInside, InceptionE):
    pass


class LastBlockE(BlockE):
    def pooled(self, features: torch.Tensor) -> torch.Tensor:
        return max_pool2d(features, 3, stride=1, padding=1)
