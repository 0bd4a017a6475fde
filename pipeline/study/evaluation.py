"""The section `evaluation`: how explanations are tested, and which networks measure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice
from pipeline.section import Name, Section

Digest = Field(None, pattern="^[0-9a-f]{64}$", description="Expected digest of the file.")


class Lpips(Section):
    """LPIPS (Zhang et al. 2018), version 0.1, from its official files."""

    lpips: str = Field(description="The backbone: torchvision's file of AlexNet or VGG-16 trained on ImageNet.")
    network: Literal["alex", "vgg"] = Field("alex", description="Which backbone it is.")
    linear: str | None = Field(
        None, description="The weights of the channels, alex.pth or vgg.pth; the copy in torchmetrics if not given."
    )
    sha256: str | None = Digest
    linear_sha256: str | None = Digest


class Inception(Section):
    """The Inception network of FID and KID, in the format of pytorch-fid."""

    inception: str = Field(description="The file, such as pt_inception-2015-12-05-6726825d.pth.")
    sha256: str | None = Digest


class SimSiam(Section):
    """The SimSiam encoder with its projector (Chen & He 2021), with which similarity is S3."""

    simsiam: str = Field(description="The official checkpoint of pre-training, such as checkpoint_0099.pth.tar.")
    sha256: str | None = Digest


class FaceEncoder(Section):
    """The VGGFace2 ResNet-50 (Cao et al. 2018) of FVA and FS."""

    vggface2: str = Field(description="The file resnet50_ft_weight.pkl.")
    sha256: str | None = Digest


class Planted(Section):
    """A concept that a classifier was taught to read, beside a clean twin: another classifier that was not."""

    concept: Name = Field(description="The planted concept.")
    clean: Name = Field(description="A classifier of this study of the same task, which does not look at it.")


class Evaluation(Section):
    """How explanations are tested. A network of our own that measures stands in all tables under its own name."""

    infills: list[InfillChoice] = Field(
        ["mean"],
        min_length=1,
        description="In-fillers of the flipping curves, the same for all maps. A method that fills in the same itself"
        " is not judged by it: name one that no method uses.",
    )
    perceptual: Name | Lpips | None = Field(
        None,
        description="What measures perceptual distances: a network of this study, or shipped, or LPIPS. If nothing is"
        " said, `portraits-features` in that world, and elsewhere none: then they are not measured.",
    )
    realism: Name | Inception | None = Field(
        None, description="What sees the features of the Fréchet and kernel distances; if not given, as `perceptual`."
    )
    similarity: Name | SimSiam | None = Field(
        None, description="What says whether an image is still the same thing; if not given, as `perceptual`."
    )
    planted: dict[Name, Planted] = Field(
        {}, description="What classifiers were taught to read by mistake; methods are asked whether they find it."
    )
    faces: FaceEncoder | None = Field(None, description="What says whether it is still the same face; none by itself.")


MEASURING = ("perceptual", "realism", "similarity", "faces")
OWN_FEATURES = {"portraits": "portraits-features"}
"""The network of our own that measures in a world."""
