from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.datasets.sections import DatasetKind
from pipeline.errors import UserError
from pipeline.section import Section, Share
from pipeline.worlds import load_world
from pipeline.worlds.prior import Prior

PNG_BYTES = {"portraits": 1.25, "shapes": 0.15}  # of a pixel


class MixtureComponent(Section):
    """A share of the images in which some concepts have fixed values; the others follow the marginals."""

    weight: Share = Field(description="Share of the images; the weights of a mixture add up to 1.")
    set: dict[str, str] = Field(description="Value of each fixed concept.")


class PriorOptions(Section):
    """Joint distribution of a world's concepts; independent and uniform where nothing is said."""

    marginals: dict[str, dict[str, Share]] = Field({}, description="Probability of each value, by concept.")
    mixture: list[MixtureComponent] = Field([], description="Any joint distribution, as a mixture of assignments.")


class WorldDataset(DatasetKind):
    """Images of a synthetic world, rendered on demand: the truth about them is known."""

    read = "pipeline.datasets.world:read"
    example = "dataset: {world: portraits, size: 64, rows: 128}"

    world: Literal["portraits", "shapes"] = Field(description="Name of the world.")
    size: int = Field(64, ge=32, le=256, description="Side of the images in pixels.")
    prior: PriorOptions | None = Field(None, description="Joint distribution of the concepts.")

    @property
    def png_bytes(self) -> float:
        return PNG_BYTES[self.world]

    @model_validator(mode="after")
    def fit_the_world(self) -> WorldDataset:
        """The prior must name concepts and values of the world, with probabilities that add up."""
        try:
            Prior.from_options(self.prior and self.prior.model_dump(), load_world(self.world).concepts)
        except UserError as error:
            raise PydanticCustomError("prior", "{reason}", {"reason": str(error)}) from None
        return self
