"""The section `generators`: diffusion models, and classifiers of noised images that guide them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.diffusion.description import PRESETS, published
from pipeline.diffusion.entry import OF_FORMAT
from pipeline.errors import UserError
from pipeline.section import Section, Share

Preset = Literal[*PRESETS]
GENERATOR_SOURCES = ("file", "trained", "checkpoint", "diffusers")


class NoiseSchedule(Section):
    """The noise of the steps that a network was trained on."""

    name: Literal["linear", "cosine"] = Field("linear", description="How the noise grows.")
    steps: int = Field(1000, ge=25, description="Number of steps.")


class GeneratorShape(Section):
    """What decides the parameters of a U-Net of guided diffusion (Dhariwal & Nichol 2021), at any width."""

    size: int | None = Field(None, ge=4, description="Side of the images in pixels; of a recipe, that of its dataset.")
    channels: int | None = Field(None, ge=32, description="Channels of a level whose multiplier is 1.")
    multipliers: list[float] | None = Field(
        None, min_length=1, description="Channels of each level, as multiples; each level has half the side."
    )
    blocks: int | None = Field(None, ge=1, description="Residual blocks of a level; 2 if nothing is said.")
    attention: list[int] | None = Field(
        None, description="Sides of the feature maps with attention; 32, 16 and 8 if nothing is said."
    )
    head_channels: int | None = Field(None, ge=1, description="Channels of an attention head; 64 if nothing is said.")
    heads: int | None = Field(None, ge=1, description="Number of attention heads, in place of `head_channels`.")
    classes: int | None = Field(None, ge=2, description="Number of classes of a class-conditional model.")
    dropout: Share | None = Field(None, description="Share of features left out in training; none if nothing is said.")
    out_channels: int | None = Field(
        None,
        ge=1,
        description="3 for the prediction, 6 (if nothing is said) with its variance; of a noisy classifier"
        " its classes.",
    )
    order: Literal["legacy", "new"] | None = Field(
        None, description="Layout of the attention: `new` in the official networks of 64 pixels, else `legacy`."
    )


class Generator(Section):
    """A diffusion model, or a classifier of noised images that guides one: where it comes from.

    Exactly one of file, trained, checkpoint and diffusers says where it comes from.
    """

    file: str | None = Field(None, description="A file of our own format (.safetensors with a description).")
    trained: str | None = Field(None, description="A generator of the section `training` of this study.")
    checkpoint: str | None = Field(
        None, description="Weights in the official format (.pt or .safetensors); `preset` or `shape` says of what."
    )
    diffusers: str | None = Field(None, description="Folder of a UNet2DModel, or of a pipeline that has one.")
    preset: Preset | None = Field(None, description="checkpoint: name of the published network.")
    shape: GeneratorShape | None = Field(
        None, description="checkpoint: the shape, or where it differs from the preset."
    )
    schedule: NoiseSchedule | None = Field(
        None, description="checkpoint, diffusers: its schedule; that of the preset or pipeline if nothing is said."
    )
    predicts: Literal["noise", "velocity"] | None = Field(
        None, description="checkpoint, diffusers: what it predicts; noise, as published, if nothing is said."
    )
    variance: Literal["small", "large"] | None = Field(
        None,
        description="checkpoint, diffusers: the variance of a step that was not learned, that of the posterior or beta;"
        " if nothing is said `large` for a checkpoint, as in guided diffusion, and what a pipeline of diffusers says,"
        " else `small`.",
    )
    classes: list[str] | None = Field(None, description="checkpoint: class names of a noisy classifier, in order.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Expected digest of the file.")

    @model_validator(mode="after")
    def come_from_one_place(self) -> Generator:
        given = [key for key in GENERATOR_SOURCES if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "a generator has exactly one of the keys {keys}; here there is {given}",
                {"keys": ", ".join(GENERATOR_SOURCES), "given": " and ".join(given) or "none"},
            )
        return self

    @model_validator(mode="after")
    def say_only_what_the_file_does_not(self) -> Generator:
        format = next(key for key in GENERATOR_SOURCES if getattr(self, key) is not None)
        for key in self.model_fields_set - set(GENERATOR_SOURCES):
            if getattr(self, key) is not None and key not in OF_FORMAT.get(format, ()):
                raise PydanticCustomError(
                    "misplaced", "{source} says {key} itself; leave {key} out", {"source": format, "key": key}
                )
        if format == "checkpoint":
            try:
                published(self.preset, self.shape.model_dump(exclude_none=True) if self.shape else {})
            except UserError as error:
                raise PydanticCustomError("shape", "{reason}", {"reason": str(error)}) from None
        return self
