"""The section `dataset` of a study: a dataset, and which of its images are taken."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Tag

from pipeline.datasets.sections import (
    SECTIONS,
    DigitsDataset,
    FolderDataset,
    HuggingFaceDataset,
    ImageNetDataset,
    WorldDataset,
)
from pipeline.section import Section, Split, chosen_by_key


class Sampled(Section):
    """Which images of the dataset are explained."""

    rows: int = Field(24, ge=1, description="Number of images.")
    split: Split = Field("test", description="Part of the data; the three parts have no image in common.")
    per_class: str | None = Field(None, description="Task whose classes get equal numbers of images.")
    correct: list[str] = Field([], description="Keep only images that all of these classifiers get right.")


class SampledWorld(WorldDataset, Sampled):
    """Images of a synthetic world."""


class SampledFolder(FolderDataset, Sampled):
    """Images of a folder."""


class SampledHuggingFace(HuggingFaceDataset, Sampled):
    """Images of a Hugging Face dataset."""


class SampledImageNet(ImageNetDataset, Sampled):
    """Validation images of ImageNet."""


class SampledDigits(DigitsDataset, Sampled):
    """Real handwritten digits."""


DATASETS = {
    "world": SampledWorld,
    "folder": SampledFolder,
    "huggingface": SampledHuggingFace,
    "imagenet": SampledImageNet,
    "digits": SampledDigits,
}
Dataset = Annotated[
    Annotated[SampledWorld, Tag("world")]
    | Annotated[SampledFolder, Tag("folder")]
    | Annotated[SampledHuggingFace, Tag("huggingface")]
    | Annotated[SampledImageNet, Tag("imagenet")]
    | Annotated[SampledDigits, Tag("digits")],
    chosen_by_key(DATASETS, "a dataset"),
]
TrainingDataset = Annotated[
    Annotated[WorldDataset, Tag("world")]
    | Annotated[FolderDataset, Tag("folder")]
    | Annotated[HuggingFaceDataset, Tag("huggingface")]
    | Annotated[ImageNetDataset, Tag("imagenet")]
    | Annotated[DigitsDataset, Tag("digits")],
    chosen_by_key(SECTIONS, "a training dataset"),
]
