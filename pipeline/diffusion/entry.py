"""The entry of a generator in a study: where it comes from, and what its file does not say. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.diffusion.description import Description, published
from pipeline.entry import Entry
from pipeline.errors import UserError
from pipeline.section import Section
from pipeline.unet_shape import GeneratorShape, Preset

LOADERS = {
    "file": "pipeline.diffusion.file:load",
    "checkpoint": "pipeline.diffusion.file:load",
    "diffusers": "pipeline.diffusion.diffusers_folder:load",
}
"""Each takes a Generator and returns a frozen network and its Description."""
OF_FORMAT = {
    "checkpoint": ("preset", "shape", "schedule", "predicts", "variance", "classes", "sha256"),
    "diffusers": ("schedule", "predicts", "variance", "sha256"),
    "file": ("sha256",),
    "trained": (),
}
"""What each format does not say itself: a checkpoint says nothing, a folder may have no scheduler beside it."""


class NoiseSchedule(Section):
    """The noise of the steps that a network was trained on."""

    name: Literal["linear", "cosine"] = Field("linear", description="How the noise grows.")
    steps: int = Field(1000, ge=25, description="Number of steps.")


class Generator(Entry):
    """A diffusion model, or a classifier of noised images that guides one: where it comes from.

    Exactly one of file, trained, checkpoint and diffusers says where it comes from.
    """

    kind: ClassVar[str] = "generator"
    loaders: ClassVar = LOADERS

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
    def say_only_what_the_file_does_not(self) -> Generator:
        given = self.model_dump(exclude_none=True, exclude={*self.sources()})
        for key in given:
            if key not in OF_FORMAT[self.format]:
                raise PydanticCustomError(
                    "misplaced", "{source} says {key} itself; leave {key} out", {"source": self.format, "key": key}
                )
        return self

    @model_validator(mode="after")
    def be_a_network_that_can_be(self) -> Generator:
        if self.format == "checkpoint":
            try:
                self.described()
            except UserError as error:
                raise PydanticCustomError("shape", "{reason}", {"reason": str(error)}) from None
        return self

    def described(self) -> Description:
        """What a checkpoint is. Raises UserError for a shape that cannot be."""
        known = published(self.preset, self.shape)
        schedule = self.schedule.model_dump() if self.schedule else known.schedule
        predicts, variance = self.predicts or known.predicts, self.variance or known.variance
        return Description(known.kind, known.shape, schedule, predicts, self.classes, variance)


def source_files(entry: Generator) -> list[Path]:
    """The files that decide what the generator is, whether they are there or not; the weights come first.

    A folder of diffusers is that of a model, or that of a whole pipeline with the folders `unet` and `scheduler`.
    """
    source = Path(entry.source).expanduser()
    if entry.format != "diffusers":
        return [source]
    model = source / "unet" if (source / "unet").is_dir() else source
    scheduler = source / "scheduler" / "scheduler_config.json"
    files = [model / "diffusion_pytorch_model.safetensors", model / "config.json"]
    return [*files, scheduler] if model != source and scheduler.is_file() else files


def existing_files(entry: Generator) -> list[Path]:
    """`source_files`, all of which must be there. Raises UserError for one that is not."""
    for path in source_files(entry):
        if not path.is_file():
            raise UserError(
                f"{entry.owner}: {path} {'is a folder, not a file' if path.is_dir() else 'does not exist'}; correct the"
                " path (relative paths count from the working directory), or download or train the generator first."
            )
    return source_files(entry)
