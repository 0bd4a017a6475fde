from typing import Literal

from pydantic import Field

from pipeline.methods.base import DirectionMethod


class MeanDifference(DirectionMethod):
    """From the mean code of the images that are decided for one class to that of another."""

    explain = "pipeline.explain.mean_difference:find"
    example = "mean: {method: mean-difference, autoencoder: dae}"
    tiny = {}
    bound = 1e-3

    method: Literal["mean-difference"] = Field(description="The method.")
