"""The section `counterfactuals`: methods that change an image so that a classifier decides for another class."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.study.method import Method
from pipeline.study.section import Name, Section, Share

TargetWord = Literal["next", "second-best", "most-confused", "near", "far"]
TARGET_KEYS = ("fixed", "pairs", "table")
ADDED = {"vary", "classifiers", "target", "samples", "rows"}
"""Keys that decide which rows there are, and not what is in one."""


class ChosenTargets(Section):
    """Target classes that a person chose: exactly one of fixed, pairs and table."""

    fixed: str | None = Field(None, description="The same class for all images of other classes.")
    pairs: dict[str, str | list[str]] | None = Field(
        None, description="The target, or several, of each class that is explained."
    )
    table: str | None = Field(
        None, description="A .csv file with the columns `source_class` and `target_class`: names, or numbers from 0."
    )
    where: dict[str, str] = Field({}, description="table: take the rows that have these values in other columns.")
    to_itself: bool = Field(
        False,
        description="Keep pairs of a class with itself, as published grids have them; they are left out otherwise.",
    )

    @model_validator(mode="after")
    def come_from_one_place(self) -> ChosenTargets:
        given = [key for key in TARGET_KEYS if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "a target has exactly one of the keys {keys}; here there is {given}",
                {"keys": ", ".join(TARGET_KEYS), "given": " and ".join(given) or "none"},
            )
        if self.where and self.table is None:
            raise PydanticCustomError("misplaced", "where chooses rows of a table; leave it out", {})
        return self


class CounterfactualMethod(Method):
    """What every method that makes counterfactuals has."""

    target: TargetWord | ChosenTargets = Field(
        "second-best",
        description="Which class an image is changed to. `next`: the one after the class that is explained."
        " `second-best`: the likeliest of the others. `most-confused`: the likeliest of the others over all images of"
        " that class. `near` and `far`: by the table of the task that ships in `data/targets`.",
    )
    samples: int = Field(1, ge=1, description="Counterfactuals of each image and target, each with noise of its own.")
    rows: int | None = Field(
        None, ge=1, description="Only so many of the images that are explained, the first ones; all if nothing is said."
    )

    def options(self) -> dict[str, Any]:
        """What decides a counterfactual of a given image, target and sample."""
        return self.model_dump(mode="json", exclude=ADDED)

    def parts(self) -> list[str]:
        """The networks and generators that it names."""
        cone = getattr(self, "cone", None)
        named = [getattr(self, "generator", None), getattr(self, "guide", None), cone and cone.helper]
        return [name for name in named if name]


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


class Guided(Diffusion):
    """What every method that pushes the walk at each step has."""

    immutable: list[str] = Field(
        [], description="Parts that stay as they are; names of concepts, where the images have parts."
    )


class Cone(Section):
    """The gradient of a robust helper steers, as far as it is within a cone around the classifier's."""

    helper: Name = Field(description="A robust classifier with the same classes: of this study, or shipped.")
    angle: float = Field(30.0, ge=0, le=90, description="Between the axis of the cone and its side, in degrees.")
    projection: Literal["published", "exact"] = Field(
        "published",
        description="`published` leaves a gradient inside the cone for the classifier's own, and ends on the side of"
        " the cone otherwise; `exact` is the nearest vector of the cone.",
    )


class ClassifierGuidance(Guided):
    """Classifier guidance (Dhariwal & Nichol 2021) from a noised image on, by a network trained on noised images."""

    method: Literal["classifier-guidance"] = Field(description="The method.")
    guide: Name = Field(description="The classifier of noised images that guides; an entry of `generators`.")
    steps: int = Field(250, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(125, ge=0, description="How many of them, the noisiest, to leave out.")
    scale: float = Field(10.0, ge=0, description="Of the gradient.")
    sampler: Literal["ancestral", "ddim"] = Field("ancestral", description="How a step is taken.")
    clip: bool = Field(True, description="Keep the denoised image in range at each step.")


class Blended(Guided):
    """The losses of Blended Diffusion (Avrahami et al. 2022) over the whole image."""

    method: Literal["blended"] = Field(description="The method.")
    steps: int = Field(100, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(25, ge=0, description="How many of them, the noisiest, to leave out.")
    classifier_weight: float = Field(25.0, ge=0, description="Weight of the evidence for the target.")
    range_weight: float = Field(50.0, ge=0, description="Weight of pixels out of range.")
    l2_weight: float = Field(1e4, ge=0, description="Weight of the mean squared distance to the image.")


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


class Vaeth(Steered):
    """DVCE in the variant that Vaeth et al. (2023) evaluated."""

    method: Literal["vaeth"] = Field(description="The method.")


class Dvce(Steered):
    """Diffusion visual counterfactuals (Augustin et al. 2022), as their authors released them."""

    method: Literal["dvce"] = Field(description="The method.")
    distance_through_denoiser: bool = Field(True, description="Take the gradient of the distance through the denoiser.")
    guidance_norm: Literal["eps", "mu"] = Field(
        "eps", description="The length of the guidance: that of the predicted noise, or of the predicted mean."
    )
    output: Literal["clean", "sample"] = Field(
        "clean", description="The denoised image of the last step, or what that step leads to."
    )


class Dime(Diffusion):
    """DiME (Jeanneret et al. 2022): at every step the gradient at the image denoised all the way."""

    method: Literal["dime"] = Field(description="The method.")
    steps: int = Field(200, ge=1, description="Steps of the whole walk from noise.")
    start: int = Field(60, ge=1, description="How many of them, the cleanest, are walked.")
    scales: list[Annotated[float, Field(gt=0)]] = Field(
        [8.0, 10.0, 15.0], min_length=1, description="Of the gradient, tried in turn until the decision changes."
    )
    evidence: Literal["log-odds", "log-probability"] = Field("log-odds", description="What is differentiated.")
    l1_weight: float = Field(0.05, ge=0, description="Weight of the sum of absolute changes.")
    l2_weight: float = Field(0.0, ge=0, description="Weight of the sum of changes of colour.")
    inner: Literal["full", "one-step"] = Field(
        "full", description="How images are denoised for the gradient: step by step, or by the estimate at hand."
    )


class Ace(Diffusion):
    """ACE (Jeanneret et al. 2023): an attack through a diffusion model, then in-painting of what it changed."""

    method: Literal["ace"] = Field(description="The method.")
    steps: int = Field(25, ge=1, description="Steps of the whole walk from noise.")
    start: int = Field(5, ge=1, description="How many of them, the cleanest, an image goes back and forth.")
    iterations: int = Field(100, ge=1, description="Steps of the attack.")
    distance: Literal["l1", "l2"] = Field("l1", description="The distance to the image.")
    distance_weight: float = Field(0.001, ge=0, description="Its weight.")
    step_size: float = Field(1 / 255, gt=0, description="Change of every value in a step of the attack.")
    epsilon: float | None = Field(None, gt=0, description="Largest change of a value; any if nothing is said.")
    threshold: Share = Field(
        0.15,
        description="The refinement keeps pixels that change less, as a share of the largest change; 0 keeps none.",
    )
    dilation: int = Field(15, ge=1, description="Side in pixels, odd, over which the largest change counts.")
    recompute: Literal["nothing", "steps"] = Field(
        "nothing", description="`steps` computes steps again for the gradient, which takes less memory."
    )

    @model_validator(mode="after")
    def spread_evenly(self) -> Ace:
        if self.dilation % 2 == 0:
            message = "dilation is {dilation}; use an odd number, such as {odd}"
            raise PydanticCustomError("range", message, {"dilation": self.dilation, "odd": self.dilation + 1})
        return self


class Svce(CounterfactualMethod):
    """Sparse counterfactuals of a robust classifier (Boreiko et al. 2022), without a diffusion model."""

    method: Literal["svce"] = Field(description="The method.")
    radius: float = Field(150.0, gt=0, description="Of the ball around the image; published for 224 pixels.")
    norm: float = Field(1.5, gt=1, le=10, description="Of the ball.")
    iterations: int = Field(75, ge=1, description="Steps of Frank-Wolfe.")
    step_size: Literal["decaying", "constant"] = Field("decaying", description="The size of a step.")


class Pgd(CounterfactualMethod):
    """Projected gradient descent (Madry et al. 2018): an adversarial image, the control that means nothing."""

    method: Literal["pgd"] = Field(description="The method.")
    ball: Literal["linf", "l2"] = Field("linf", description="The ball around the image.")
    radius: float | None = Field(None, gt=0, description="Of the ball; 8 / 255 (linf) or 12 (l2) if not given.")
    iterations: int = Field(20, ge=1, description="Steps of the attack.")


CounterfactualEntry = Annotated[
    ClassifierGuidance | Blended | Dvce | Vaeth | Dime | Ace | Svce | Pgd, Field(discriminator="method")
]
