"""The VGGFace2 ResNet-50 of FVA and FS (Cao et al. 2018), from its conversion to pickled arrays."""

from pathlib import Path

import torch

from pipeline.classifiers.resize import resize
from pipeline.errors import UserError
from pipeline.metrics.networks.files import fitted, per_channel, read_arrays
from pipeline.metrics.networks.resnet import bottleneck_resnet

SIZE = 224
MEAN_BGR = (91.4953, 103.8827, 131.0912)  # of images in 0 .. 255


def load_vggface2(path: str | Path, *, sha256: str | None = None) -> "FaceEncoder":
    """The face encoder without its classifier, from a local resnet50_ft_weight.pkl, as Jeanneret et al. 2022 use it.

    Depths and widths are read from the file. Raises UserError for a missing, altered or unsuitable file.
    """
    state = read_arrays("vggface2", path, sha256)
    state = {key: value for key, value in state.items() if not key.startswith("fc.")}
    try:
        encoder = bottleneck_resnet(state)
    except (KeyError, ValueError) as error:
        raise UserError(f"network 'vggface2': {path} holds no ResNet; get resnet50_ft_weight.pkl.") from error
    return FaceEncoder(fitted("vggface2", path, as_in_caffe(encoder), state))


class FaceEncoder(torch.nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> features (N, D), at 224 pixels, in the channel order blue, green, red."""

    name = "vggface2"

    def __init__(self, encoder: torch.nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", per_channel(MEAN_BGR), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.encoder(255 * resize(images, SIZE).flip(1) - self.mean)


def as_in_caffe(encoder: torch.nn.Module) -> torch.nn.Module:
    """Let each stage take its stride in the first convolution, and the pooling before them add no border."""
    for stage in (encoder.layer2, encoder.layer3, encoder.layer4):
        stage[0].conv1.stride, stage[0].conv2.stride = stage[0].conv2.stride, stage[0].conv1.stride
    encoder.maxpool = torch.nn.MaxPool2d(kernel_size=3, stride=2, padding=0, ceil_mode=True)
    return encoder
