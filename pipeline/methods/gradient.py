from typing import Literal

from pydantic import Field

from pipeline.methods.base import SaliencyMethod, Score, Spent


class Gradient(SaliencyMethod):
    """The gradient of the score (Simonyan et al. 2014), through captum."""

    explain = "pipeline.explain.gradients:gradient"
    example = "gradient: {method: gradient}"
    tiny, bound = {}, 1e-5

    method: Literal["gradient"] = Field(description="The method.")
    channels: Literal["max", "sum"] = Field("max", description="How the channels' absolute values become one.")
    score: Score = Field("log-odds", description="What is differentiated.")

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, 1, height * width)
