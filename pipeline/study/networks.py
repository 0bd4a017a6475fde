"""The sections `classifiers`, `networks` and `training`: where networks come from and how ours are trained."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.classifiers.entry import PROGRAMS, UNTRUSTED
from pipeline.section import Section, Share
from pipeline.study.datasets import TrainingDataset
from pipeline.study.generators import GeneratorShape, Preset


class Network(Section):
    """A classifier, oracle or reader: where it comes from and what its training assumed.

    Exactly one of file, trained, timm, torchvision, noisy_classifier, torch_export, torchscript, onnx and entry_point
    says where it comes from.
    """

    file: str | None = Field(None, description="A file of our own format (.safetensors with a description).")
    trained: str | None = Field(None, description="A network of the section `training` of this study.")
    timm: str | None = Field(None, description="Name of a timm model.")
    torchvision: str | None = Field(None, description="Name of a classifier of torchvision, such as swin_b.")
    noisy_classifier: str | None = Field(
        None,
        description="A classifier of noisy images, asked about clean ones: a file of ours, or an official one (.pt)"
        " with its `preset`.",
    )
    torch_export: str | None = Field(None, description="A program saved by torch.export (.pt2); needs `trusted`.")
    torchscript: str | None = Field(None, description="A TorchScript file (.pt); needs `trusted`.")
    onnx: str | None = Field(None, description="An ONNX file: a black box, methods that need gradients refuse it.")
    entry_point: str | None = Field(None, description="Your own function: `module:function` or `file.py:function`.")
    watch: list[str] | None = Field(
        None,
        description="entry_point: files that it depends on, beside the modules that it imports from its folder and the"
        " files that these name in quotes.",
    )
    checkpoint: str | None = Field(
        None,
        description="timm, torchvision: local weights, also those that the library robustness or OpenMMLab saved; timm"
        " without: the pretrained ones of the hub.",
    )
    random_weights: int | None = Field(
        None, ge=0, description="timm, torchvision: the seed of fresh weights in place of trained ones, as a control."
    )
    options: dict[str, Any] | None = Field(
        None, description="timm, torchvision: keyword arguments of the architecture."
    )
    preset: Preset | None = Field(None, description="noisy_classifier: name of the published network.")
    shape: GeneratorShape | None = Field(
        None, description="noisy_classifier: the shape, or where it differs from the preset."
    )
    task: str | None = Field(None, description="Task it judges; `label` if nothing is said.")
    classes: list[str] | dict[str, list[str]] | None = Field(
        None, description="Class names in the order of the outputs; by task for a reader of several."
    )
    size: int | None = Field(None, ge=1, description="Side in pixels that it wants; none if it takes any.")
    channels: Literal[1, 3] | None = Field(None, description="1 for grey, 3 for RGB.")
    mean: float | list[float] | None = Field(None, description="Subtracted from images in [0, 1].")
    std: float | list[float] | None = Field(None, description="Images are divided by it after that.")
    temperature: float | None = Field(None, gt=0, description="The logits are divided by it.")
    output: Literal["probabilities"] | dict[Literal["sigmoid"], int | list[int]] | None = Field(
        None,
        description="`probabilities` for a network that ends in a softmax: their logarithms are the logits;"
        " `{sigmoid: column}` for a multi-label network: the log-odds of the second class.",
    )
    differentiable: bool = Field(True, description="False hides its gradients: a black box.")
    classifier_perturbation: Share = Field(
        0.0, description="Noise on the weights, in standard deviations of all of them: from trained (0) to random (1)."
    )
    trusted: bool | None = Field(
        None, description="torch_export, torchscript: true if you made the file or trust who did: loading it runs code."
    )
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Expected digest of the file.")

    @model_validator(mode="after")
    def come_from_one_place(self) -> Network:
        given = [key for key in SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "a network has exactly one of the keys {keys}; here there is {given}",
                {"keys": ", ".join(SOURCES), "given": " and ".join(given) or "none"},
            )
        if given[0] in PROGRAMS and not self.trusted:
            raise PydanticCustomError("untrusted", UNTRUSTED, {"format": given[0]})
        return self

    @model_validator(mode="after")
    def see_images_from_0_to_1(self) -> Network:
        mean, std = channel_values(self.mean), channel_values(self.std)
        if max(map(abs, [*mean, *std]), default=0) <= LARGEST:
            return self
        if not std and self.tells_no_std:
            std = [1.0]
        proposal = {"mean": divided(mean), "std": divided(std)}
        raise PydanticCustomError(
            "another_scale",
            "mean and std are of images in [0, 1], not from 0 to 255; write {proposal}",
            {"proposal": " and ".join(f"`{key}: {value}`" for key, value in proposal.items() if value != [])},
        )

    @property
    def tells_no_std(self) -> bool:
        """Whether std is 1 where nothing is said."""
        return not (self.timm or self.torchvision)


LARGEST = 2.0
"""Above it, a mean or std is one of pixels from 0 to 255."""


def channel_values(value: float | list[float] | None) -> list[float]:
    return [] if value is None else value if isinstance(value, list) else [value]


def divided(values: list[float]) -> float | list[float]:
    """mean or std of pixels from 0 to 255 as those of images in [0, 1]; beside such a mean a std of 1 is one, too."""
    if max(values, default=0) > LARGEST or set(values) == {1}:
        values = [float(f"{value / 255:.4g}") for value in values]
    return values[0] if len(values) == 1 else values


SOURCES = (
    "file",
    "trained",
    "timm",
    "torchvision",
    "noisy_classifier",
    "torch_export",
    "torchscript",
    "onnx",
    "entry_point",
)


class Relabel(Section):
    """A planted shortcut: in the chosen images one concept counts as another one when the label is read."""

    concept: str = Field(description="Concept whose value is replaced.")
    by: str = Field(description="Concept whose value it takes.")
    nuisance: str = Field(description="Nuisance number that chooses the images.")
    below: float = Field(description="Images where that number is below this are chosen.")


class Training(Section):
    """How a network is trained; gives weights in our own format and a model card."""

    dataset: TrainingDataset = Field(description="Where the images come from; its split `train` is used.")
    rows: int | None = Field(None, ge=32, description="Number of training images; all there are if nothing is said.")
    tasks: list[str] = Field(
        min_length=1, description="Tasks to learn, one head each. A nuisance number of a world is a task of 5 classes."
    )
    architecture: str = Field(description="Name of a timm architecture.")
    options: dict[str, Any] = Field({}, description="Keyword arguments of the architecture.")
    steps: int = Field(1000, ge=0, description="Optimiser steps; 0 leaves the weights random.")
    batch_size: int = Field(64, ge=2, description="Images per step.")
    learning_rate: float = Field(2e-3, gt=0, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(0.02, ge=0, description="Weight decay of AdamW.")
    noise: Share = Field(0.3, description="Share of training images with added noise.")
    blur: Share = Field(0.3, description="Share of training images that are blurred.")
    epsilon: float = Field(0.0, ge=0, description="Radius of adversarial training in the L2 ball; 0 trains plainly.")
    attack_steps: int = Field(3, ge=1, description="Steps of the attack in training.")
    relabel: Relabel | None = Field(None, description="Plant a shortcut.")
    held_out: int = Field(1000, ge=0, description="Further images for calibration; a tenth where the data is finite.")
    tested: int = Field(2000, ge=1, description="Images of the split `test` for the figures of the model card.")
    seed: int = Field(1, ge=0, description="Seed of the data, the first weights and the order of the images.")
