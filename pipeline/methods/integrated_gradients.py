from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Score, Spent


class IntegratedGradients(SaliencyMethod):
    """Integrated gradients (Sundararajan et al. 2017), through captum."""

    explain = "pipeline.explain.gradients:integrated_gradients"
    example = "integrated: {method: integrated-gradients, infill: blur, steps: 64}"
    tiny, bound = {"infill": "random", "steps": 4}, 1e-5

    method: Literal["integrated-gradients"] = Field(description="The method.")
    infill: InfillChoice | None = Field(None, description="The baseline; black if nothing is said, as published.")
    steps: int = Field(32, ge=2, description="Points of the path.")
    sign: Literal["absolute", "signed"] = Field("absolute", description="Whether evidence against counts too.")
    score: Score = Field("log-odds", description="What is differentiated.")

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, self.steps, height * width, self.steps)
