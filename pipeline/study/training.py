"""The section `training`: recipes of classifiers, diffusion models and autoencoders, guides, and in-fillers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pipeline.diffusion.autoencoder_shape import ATTENTION, AutoencoderShape
from pipeline.diffusion.entry import NoiseSchedule
from pipeline.diffusion.strides import whole_stride
from pipeline.errors import UserError
from pipeline.infill.declared.vae import VaeShape
from pipeline.section import Name, Section, Share, chosen_by_key
from pipeline.study.datasets import TrainingDataset
from pipeline.unet_shape import Shape

COLOURS = 3  # channels of the images of every study


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


class UNetShape(Section):
    """The size of a U-Net of guided diffusion (Dhariwal & Nichol 2021), or of the descending half of one."""

    channels: int = Field(ge=32, description="Channels of a level whose multiplier is 1.")
    multipliers: list[float] = Field(
        min_length=1,
        description="Channels of each level, as multiples; each level has half the side of the one before.",
    )
    blocks: int = Field(2, ge=1, description="Residual blocks of a level.")
    attention: list[int] = Field([32, 16, 8], description="Sides in pixels of the feature maps with attention.")
    head_channels: int = Field(64, ge=1, description="Channels of an attention head.")
    dropout: Share = Field(0.0, description="Share of features left out in training.")
    order: Literal["legacy", "new"] = Field(
        "legacy", description="Layout of the attention: `new` in the official networks of 64 pixels."
    )

    def shape(self, size: int, out_channels: int) -> Shape:
        """The shape of a network for images of that side. Raises UserError for one that cannot be."""
        return Shape.from_options({**self.model_dump(), "size": size, "out_channels": out_channels})


class AutoencoderNetwork(Section):
    """The size of a diffusion autoencoder (Preechakul et al. 2022): its U-Net, and the encoder of what images show."""

    channels: int = Field(ge=32, description="Channels of a level whose multiplier is 1.")
    multipliers: list[float] = Field(
        min_length=1, description="Channels of each level of the U-Net, as multiples; each has half the side."
    )
    encoder_multipliers: list[float] = Field(
        min_length=1, description="Likewise of the encoder, which has one level more in the published networks."
    )
    blocks: int = Field(2, ge=1, description="Residual blocks of a level.")
    attention: list[int] = Field([ATTENTION], description="Sides in pixels of the feature maps with attention.")
    semantic: int = Field(512, ge=1, description="Length of the semantic code.")
    dropout: Share = Field(0.1, description="Share of features left out in training.")

    def shape(self, size: int, channels: int) -> AutoencoderShape:
        """The shape of a network for images of that side. Raises UserError for one that cannot be."""
        return AutoencoderShape.from_options({**self.model_dump(), "size": size, "in_channels": channels})


NETWORKS = ("unet", "noisy_classifier", "autoencoder", "vae")
"""What the networks are called that `ImageTraining` is about, each in the recipes of its own kind."""


class ImageTraining(Section):
    """What recipes of networks that make images, and of their guides, share; gives weights and a model card."""

    dataset: TrainingDataset = Field(description="Where the images come from; its split `train` is used.")
    rows: int | None = Field(None, ge=32, description="Number of training images; all there are if nothing is said.")
    steps: int = Field(3000, ge=1, description="Optimiser steps.")
    batch_size: int = Field(32, ge=2, description="Images per step.")
    learning_rate: float = Field(1.2e-3, gt=0, description="Highest learning rate of AdamW.")
    weight_decay: float = Field(0.01, ge=0, description="Weight decay of AdamW.")
    average: float = Field(0.998, ge=0, lt=1, description="Decay of the moving average of the weights that is kept.")
    flips: bool = Field(False, description="Mirror half of the images; not where left and right mean something.")
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="What a card computes products in; the weights are float32, as everything on a CPU is."
    )
    seed: int = Field(1, ge=0, description="Seed of the data, the first weights and the order of the images.")

    @property
    def network(self) -> UNetShape | AutoencoderNetwork | VaeShape:
        """The size of what is trained."""
        return next(getattr(self, key) for key in NETWORKS if hasattr(self, key))

    @model_validator(mode="after")
    def have_images_of_one_size(self) -> ImageTraining:
        if self.dataset.size is None:
            raise PydanticCustomError(
                "size", "the images of `dataset` have sizes of their own; set its size, such as 64", {}
            )
        return self


class DiffusionTraining(ImageTraining):
    """What recipes of diffusion models, of their guides and of diffusion autoencoders share."""

    kind: ClassVar[str]
    """That of the Description of what it trains."""

    schedule: NoiseSchedule = Field(NoiseSchedule(), description="The noise that images get.")

    @model_validator(mode="after")
    def fit_the_images(self) -> DiffusionTraining:
        try:
            self.network.shape(self.dataset.size, COLOURS)
        except UserError as error:
            raise PydanticCustomError("shape", "{reason}", {"reason": str(error)}) from None
        return self


class Gate(Section):
    """How a trained diffusion model is measured, for its model card, on images that it draws."""

    samples: int = Field(2000, ge=2, description="Images drawn.")
    steps: int = Field(50, ge=1, description="Steps of drawing (DDIM).")
    readers: list[Name] = Field(
        [], description="Networks that say what the images show: shipped, or of this study. They must agree."
    )
    features: Name | None = Field(
        None, description="Network in whose features images are compared too: shipped, or of this study."
    )


class GeneratorRecipe(DiffusionTraining):
    """What decides the weights of a diffusion model."""

    kind = "unet"

    unet: UNetShape = Field(description="The network.")
    predicts: Literal["noise", "velocity"] = Field(
        "velocity", description="What the network predicts: the noise, as published, or the velocity."
    )
    variance_weight: float = Field(
        1.0, ge=0, description="Weight of the variational bound that the variance is learned by; 0 learns none."
    )


class GeneratorTraining(GeneratorRecipe):
    """How a diffusion model is trained: it learns to draw images like those of the dataset."""

    gate: Gate = Field(Gate(), description="How the result is measured.")


class GuideTraining(DiffusionTraining):
    """How a classifier of noised images is trained, whose gradient guides a diffusion model (classifier guidance)."""

    kind = "noisy-classifier"

    noisy_classifier: UNetShape = Field(description="The network: the descending half of a U-Net.")
    task: str = Field(description="Task to learn.")
    tested: int = Field(2000, ge=1, description="Images of the split `test` for the figures of the model card.")


class AutoencoderGate(Section):
    """How a trained diffusion autoencoder is measured, for its model card."""

    images: int = Field(128, ge=1, description="Images of the split `test` that are encoded and decoded again.")
    steps: int = Field(50, ge=1, description="Steps of encoding, and as many of decoding.")
    fitted: int = Field(
        2000, ge=2, description="Training images whose codes a linear probe of each concept of a world is fitted to."
    )
    tested: int = Field(500, ge=2, description="Images of the split `test` whose concepts it tells.")


class AutoencoderRecipe(DiffusionTraining):
    """What decides the weights of a diffusion autoencoder."""

    kind = "autoencoder"

    autoencoder: AutoencoderNetwork = Field(description="The network.")
    predicts: Literal["noise", "velocity"] = Field(
        "velocity", description="What the network predicts: the noise, as published, or the velocity."
    )


class AutoencoderTraining(AutoencoderRecipe):
    """How a diffusion autoencoder is trained: it learns to draw an image again from a code of what it shows."""

    gate: AutoencoderGate = Field(AutoencoderGate(), description="How the result is measured.")

    @model_validator(mode="after")
    def be_measured_in_steps_that_can_be(self) -> AutoencoderTraining:
        try:
            whole_stride(self.schedule.steps, self.gate.steps)
        except UserError as error:
            raise PydanticCustomError("steps", "gate.steps: {reason}", {"reason": str(error)}) from None
        return self


class InfillTraining(ImageTraining):
    """How an in-filler is trained: it learns to make what masks like FIDO's hide in the images of the dataset."""

    vae: VaeShape = Field(description="The network: a variational autoencoder.")
    divergence: float | None = Field(
        None,
        ge=0,
        description="Weight of the code's Kullback-Leibler divergence; one over the number of training images if"
        " nothing is said, as published.",
    )
    tested: int = Field(500, ge=1, description="Images of the split `test` for the figures of the model card.")

    @model_validator(mode="after")
    def fit_the_images(self) -> InfillTraining:
        if self.dataset.size % 4:
            raise PydanticCustomError(
                "size",
                "the side of its images is {size}; an in-filler halves it twice: use a multiple of 4, such as 64",
                {"size": self.dataset.size},
            )
        return self


RECIPES: dict[str, type[Section]] = {
    "architecture": Training,
    "unet": GeneratorTraining,
    "noisy_classifier": GuideTraining,
    "autoencoder": AutoencoderTraining,
    "vae": InfillTraining,
}
Recipe = Annotated[
    Annotated[Training, Tag("architecture")]
    | Annotated[GeneratorTraining, Tag("unet")]
    | Annotated[GuideTraining, Tag("noisy_classifier")]
    | Annotated[AutoencoderTraining, Tag("autoencoder")]
    | Annotated[InfillTraining, Tag("vae")],
    chosen_by_key(RECIPES, "a recipe"),
]


def recipes(training: dict[str, Any], *kinds: type[Section]) -> list[str]:
    """Names of the recipes of these kinds."""
    return [name for name, recipe in training.items() if isinstance(recipe, kinds)]
