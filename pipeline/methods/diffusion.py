"""What declarations of methods that use a diffusion model share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.methods.base import Count, CounterfactualMethod, Counts
from pipeline.section import Name, Section

REGIONS = ("parts", "saliency", "drawn")


def refuse_even(value: int) -> int:
    if value % 2 == 0:
        message = "must be an odd number, such as {odd}"
        raise PydanticCustomError("range", message, {"odd": value + 1})
    return value


SomeShare = Annotated[float, Field(gt=0, le=1)]
Odd = Annotated[int, Field(ge=1), AfterValidator(refuse_even)]


class Diffusion(CounterfactualMethod):
    """What every method that walks down from noise has."""

    generator: Name = Field(description="The diffusion model: of this study, or shipped.")

    @model_validator(mode="after")
    def walk_within_the_steps(self) -> Diffusion:
        steps, skip, start = (getattr(self, key, None) for key in ("steps", "skip", "start"))
        if skip is not None and skip >= steps:
            message = "skip is {skip} of {steps} steps; use 0 to {most}"
            raise PydanticCustomError("range", message, {"skip": skip, "steps": steps, "most": steps - 1})
        if start is not None and start > steps:
            raise PydanticCustomError(
                "range", "start is {start} of {steps} steps; use 1 to {steps}", {"start": start, "steps": steps}
            )
        return self


class Region(Section):
    """Where an image may change, from exactly one of these sources; the pixels outside stay as they are."""

    parts: list[str] | None = Field(
        None,
        min_length=1,
        description="Parts of the image together: concepts of a world, or `object` of `dataset.masks`.",
    )
    saliency: Name | None = Field(
        None,
        description="An entry of `saliency` or `attributions` that explains the same classifiers: where its map is"
        " highest.",
    )
    drawn: str | None = Field(None, description="An image file that marks the same pixels of all images, not in black.")
    share: SomeShare = Field(0.3, description="saliency: how much of the image, as a share.")

    @model_validator(mode="after")
    def come_from_one_place(self) -> Region:
        given = [key for key in REGIONS if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "a region has exactly one of the keys {keys}; here there is {given}",
                {"keys": ", ".join(REGIONS), "given": " and ".join(given) or "none"},
            )
        return self


class Guided(Diffusion):
    """What every method that pushes the walk at each step has. Its function takes the `region` that may change."""

    immutable: list[str] = Field(
        [], description="Parts that stay as they are; names of concepts, where the images have parts."
    )
    region: Region | None = Field(None, description="Where an image may change; everywhere if nothing is said.")


def guided_walk(walked: int, guided: int, backward: int) -> Count:
    """The generator's passes of a walk. backward: passes back through it in each guided step."""
    if not backward:
        return Count(forward=walked)
    return Count(walked - guided, guided, guided * (backward - 1))


class Cone(Section):
    """The gradient of a robust helper steers, as far as it is within a cone around the classifier's."""

    helper: Name = Field(description="A robust classifier with the same classes: of this study, or shipped.")
    angle: float = Field(30.0, ge=0, le=90, description="Between the axis of the cone and its side, in degrees.")
    projection: Literal["published", "exact"] = Field(
        "published",
        description="`published` leaves a gradient inside the cone for the classifier's own, and ends on the side of"
        " the cone otherwise; `exact` is the nearest vector of the cone.",
    )


class Steered(Guided):
    """What both variants of DVCE have."""

    cone: Cone | None = Field(None, description="Steer by a robust helper; not at all if nothing is said.")
    steps: int = Field(200, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(100, ge=0, description="How many of them, the noisiest, to leave out.")
    classifier_weight: float = Field(0.1, ge=0, description="Weight of the evidence for the target.")
    distance_weight: float = Field(0.15, ge=0, description="Weight of the distance to the image.")
    distance_power: float = Field(1.0, ge=1, le=2, description="Power of the distance, from 1 to 2.")
    through_denoiser: bool = Field(
        True, description="Take the gradient of the evidence through the denoiser (the x0-gradient)."
    )
    temperature: float = Field(1.0, gt=0, description="Divides the logits of the classifier.")
    augmentations: int = Field(1, ge=1, description="Views of the image over which evidence is averaged.")

    def steered(self, ends_clean: bool, sends_distance: bool) -> Counts:
        """Its passes. ends_clean: the last step is not guided. sends_distance: so goes the distance's gradient back."""
        judges = ["classifier", *(["helper"] if self.cone else [])]
        walked = self.steps - self.skip
        guided = walked - ends_clean
        backward = self.through_denoiser * len(judges) + sends_distance
        seen = Count(with_backward=guided * self.augmentations)
        return {**dict.fromkeys(judges, seen), "generator": guided_walk(walked, guided, backward)}
