from typing import Literal

from pydantic import Field

from pipeline.methods.base import DirectionMethod


class LinearDirection(DirectionMethod):
    """The direction of a labelled attribute (DiffAE; Preechakul et al. 2022): the normal of a logistic regression."""

    explain = "pipeline.explain.linear_direction:find"
    libraries = ("torch", "scikit-learn")
    example = "linear: {method: linear-direction, autoencoder: dae}"
    tiny = {}
    bound = 1e-3

    method: Literal["linear-direction"] = Field(description="The method.")
    regularisation: float = Field(1.0, gt=0, description="Penalty of the weights.")
