"""The oracle of CelebA's attributes behind MNAC and CD: a VGGFace2 ResNet-50, fine-tuned (Rodriguez et al. 2021)."""

import re
from pathlib import Path

import torch
from torch.nn.functional import interpolate

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.metrics.networks.files import fitted, per_channel, read_parts
from pipeline.metrics.networks.resnet import bottleneck_resnet
from pipeline.metrics.networks.vggface2 import SIZE, as_in_caffe

NAME = "celeba-oracle"
# The published code subtracts the mean of red from blue and the other way round, and so must whoever uses its weights.
MEAN_AS_CODED = (131.0912, 103.8827, 91.4953)
# fmt: off
ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips", "Big_Nose",
    "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Double_Chin", "Eyeglasses",
    "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male", "Mouth_Slightly_Open", "Mustache",
    "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose", "Receding_Hairline", "Rosy_Cheeks",
    "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)
# fmt: on
"""The attributes in the order of CelebA's label files, which is that of the outputs."""
PARTS = (("1x1_reduce", "1"), ("3x3", "2"), ("1x1_increase", "3"))


def load_celeba_oracle(path: str | Path, *, sha256: str | None = None) -> Classifier:
    """A reader with one task for each of the 40 attributes, classes "no" and "yes", from a local oracle.pth.

    Depths and widths are read from the file. Raises UserError for a missing, altered or unsuitable file.
    """
    features, classifier = read_parts(NAME, path, ["feat_extract", "classifier"], sha256)
    state = {torchvision_name(key): value for key, value in features.items()}
    state |= {f"attributes.{key}": value for key, value in classifier.items()}
    try:
        network = AttributeNetwork(bottleneck_resnet(state), state["projection.weight"], state["attributes.weight"])
    except (KeyError, ValueError) as error:
        raise UserError(f"network '{NAME}': {path} holds no ResNet with attributes; get the official file.") from error
    state = {key if key.startswith(("projection", "attributes")) else f"encoder.{key}": state[key] for key in state}
    heads = {attribute: ("no", "yes") for attribute in ATTRIBUTES}
    return Classifier(fitted(NAME, path, network, state), name=NAME, heads=heads, sigmoid=range(len(ATTRIBUTES)))


class AttributeNetwork(torch.nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> the log-odds (N, A) of the attributes."""

    def __init__(self, encoder: torch.nn.Module, projection: torch.Tensor, attributes: torch.Tensor) -> None:
        super().__init__()
        self.encoder = as_in_caffe(encoder)
        self.projection = torch.nn.Conv2d(projection.shape[1], projection.shape[0], 1, bias=False)
        self.attributes = torch.nn.Linear(attributes.shape[1], attributes.shape[0])
        self.register_buffer("mean", per_channel(MEAN_AS_CODED) / 255, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shown = interpolate(images.flip(1) - self.mean, size=(SIZE, SIZE), mode="bicubic", align_corners=False)
        return self.attributes(self.projection(self.encoder(shown)[:, :, None, None]).flatten(1))


def torchvision_name(key: str) -> str:
    """The name that torchvision gives to a weight that the converted Caffe network calls `key`."""
    key = re.sub(r"^conv1_7x7_s2(_bn)?\.", lambda found: "bn1." if found[1] else "conv1.", key)
    key = re.sub(r"^feat_extract\.", "projection.", key)
    for part, number in PARTS:
        key = re.sub(rf"^(conv\d_\d+)_{part}_bn\.", rf"\1.bn{number}.", key)
        key = re.sub(rf"^(conv\d_\d+)_{part}\.", rf"\1.conv{number}.", key)
    key = re.sub(r"^(conv\d_\d+)_1x1_proj_bn\.", r"\1.downsample.1.", key)
    key = re.sub(r"^(conv\d_\d+)_1x1_proj\.", r"\1.downsample.0.", key)
    return re.sub(r"^conv(\d)_(\d+)\.", lambda found: f"layer{int(found[1]) - 1}.{int(found[2]) - 1}.", key)
