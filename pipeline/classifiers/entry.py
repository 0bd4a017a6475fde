"""The entry of a classifier, oracle or reader in a study: where it is and what its training assumed. Needs no torch."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.entry import Entry
from pipeline.errors import UserError, alternatives
from pipeline.section import Share
from pipeline.unet_shape import GeneratorShape, Preset

LOADERS = {
    "file": "pipeline.classifiers.file:load",
    "timm": "pipeline.classifiers.formats.timm:load",
    "torchvision": "pipeline.classifiers.formats.torchvision:load",
    "noisy_classifier": "pipeline.diffusion.as_classifier:load",
    "torch_export": "pipeline.classifiers.formats.torch_export:load",
    "torchscript": "pipeline.classifiers.formats.torchscript:load",
    "onnx": "pipeline.classifiers.formats.onnx:load",
    "entry_point": "pipeline.classifiers.formats.entry_point:load",
}
"""Each takes a Network and returns a Classifier on the CPU."""
PROGRAMS = ("torch_export", "torchscript")
"""Formats that are code: loading such a file evaluates and runs what it holds."""
FORMATS_WITH = {
    "checkpoint": ("timm", "torchvision"),
    "random_weights": ("timm", "torchvision"),
    "options": ("timm", "torchvision"),
    "preset": ("noisy_classifier",),
    "shape": ("noisy_classifier",),
    "trusted": (*PROGRAMS, "entry_point"),
    "watch": ("entry_point",),
}
"""The formats that alone have an option."""
IN_OUR_FILE = ("classes", "size", "channels", "mean", "std", "output")
"""What a file of ours says itself, so that an entry must not say it again."""
Column = Annotated[int, Field(ge=0)]
LARGEST = 2.0
"""Above it, a mean or std is one of pixels from 0 to 255."""


class Network(Entry):
    """A classifier, oracle or reader: where it comes from and what its training assumed.

    Exactly one of file, trained, timm, torchvision, noisy_classifier, torch_export, torchscript, onnx and entry_point
    says where it comes from.
    """

    kind: ClassVar[str] = "classifier"
    loaders: ClassVar = LOADERS

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
    output: Literal["probabilities"] | dict[Literal["sigmoid"], Column | list[Column]] | None = Field(
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
    def say_only_what_its_format_does_not(self) -> Network:
        for option, formats in FORMATS_WITH.items():
            if getattr(self, option) is not None and self.format not in formats:
                raise PydanticCustomError(
                    "misplaced",
                    "{option} belongs to a {formats} entry, not to {format}; leave it out",
                    {"option": option, "formats": alternatives(formats), "format": self.format},
                )
        for option in IN_OUR_FILE:
            if getattr(self, option) is not None and self.format in ("file", "trained"):
                raise PydanticCustomError(
                    "misplaced", "its file says {option} itself; leave {option} out", {"option": option}
                )
        if self.random_weights is not None and self.checkpoint is not None:
            raise PydanticCustomError("misplaced", "checkpoint and random_weights are both given; leave one out", {})
        return self

    @model_validator(mode="after")
    def be_trusted_to_run(self) -> Network:
        if self.format in PROGRAMS and not self.trusted:
            raise PydanticCustomError(
                "untrusted",
                "{format} is a program, and loading it runs what the file holds; if you made the file or trust who did,"
                " add `trusted: true`, else get the network as safetensors or ONNX",
                {"format": self.format},
            )
        return self

    @model_validator(mode="after")
    def see_images_from_0_to_1(self) -> Network:
        mean, std = channel_values(self.mean), channel_values(self.std)
        for key, values in (("mean", mean), ("std", std)):
            if len(values) == 2 or len(values) > 3:
                raise PydanticCustomError(
                    "channels",
                    "{key} has {count} numbers; give one, or one for each channel, such as [0.485, 0.456, 0.406]",
                    {"key": key, "count": len(values)},
                )
        if max(map(abs, [*mean, *std]), default=0) <= LARGEST:
            return self
        if not std and self.format not in FORMATS_WITH["checkpoint"]:  # which know the std of their weights
            std = [1.0]
        proposal = {"mean": divided(mean), "std": divided(std)}
        raise PydanticCustomError(
            "another_scale",
            "mean and std are of images in [0, 1], not from 0 to 255; write {proposal}",
            {"proposal": " and ".join(f"`{key}: {value}`" for key, value in proposal.items() if value != [])},
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the architecture."""
        return self.options or {}

    @property
    def sigmoid(self) -> int | list[int] | None:
        """The column or columns of `output: {sigmoid: ...}`."""
        return self.output.get("sigmoid") if isinstance(self.output, dict) else None


def channel_values(value: float | list[float] | None) -> list[float]:
    return [] if value is None else value if isinstance(value, list) else [value]


def divided(values: list[float]) -> float | list[float]:
    """mean or std of pixels from 0 to 255 as those of images in [0, 1]; beside such a mean a std of 1 is one, too."""
    if max(values, default=0) > LARGEST or set(values) == {1}:
        values = [float(f"{value / 255:.4g}") for value in values]
    return values[0] if len(values) == 1 else values


def require_classes(entry: Network) -> dict[str, tuple[str, ...]]:
    """The heads {task: class names} that the entry gives; UserError if it gives none."""
    if entry.classes is None:
        raise UserError(
            f"{entry.owner} needs the names of its classes, since {entry.format} does not tell them; add them in the"
            " order of its outputs, such as `classes: [serious, smiling]`."
        )
    heads = entry.classes if isinstance(entry.classes, dict) else {entry.task or "label": entry.classes}
    return {task: tuple(names) for task, names in heads.items()}
