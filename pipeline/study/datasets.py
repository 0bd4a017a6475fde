"""The section `dataset` of a study: a dataset, and which of its images are taken."""

from __future__ import annotations

from typing import Annotated, Any, Union

from pydantic import Field, Tag, create_model

from pipeline.datasets.declared import kinds
from pipeline.datasets.sections import DatasetKind
from pipeline.section import Section, Split, chosen_by_key


class Sampled(Section):
    """Which images of the dataset are explained."""

    rows: int = Field(24, ge=1, description="Number of images.")
    split: Split = Field("test", description="Part of the data; the three parts have no image in common.")
    per_class: str | None = Field(None, description="Task whose classes get equal numbers of images.")
    correct: list[str] = Field([], description="Keep only images that all of these classifiers get right.")


def sampled(kind: type[DatasetKind]) -> type[DatasetKind]:
    """A kind of dataset whose images are explained."""
    name = f"Sampled{kind.__name__.removesuffix('Dataset')}"
    return create_model(name, __base__=(kind, Sampled), __module__=__name__, __doc__=kind.__doc__)


def one_of(sections: dict[str, type[Section]], what: str) -> Any:
    """The type of a section among these, chosen by its key."""
    tagged = (Annotated[section, Tag(key)] for key, section in sections.items())
    return Annotated[Union[tuple(tagged)], chosen_by_key(sections, what)]  # noqa: UP007


Dataset = one_of({key: sampled(kind) for key, kind in kinds().items()}, "a dataset")
TrainingDataset = one_of(kinds(), "a training dataset")
