from typing import Annotated, Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Diffusion


class Dime(Diffusion):
    """DiME (Jeanneret et al. 2022): at every step the gradient at the image denoised all the way."""

    explain = "pipeline.explain.dime:explain"
    example = "dime: {method: dime, generator: adm, inner: one-step}"
    tiny, bound = {"steps": 8, "start": 3, "scales": [1.0, 4.0]}, 1e-5

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

    def spends(self) -> Counts:
        """At most: an image that a scale has flipped is not tried with the next one."""
        tried = len(self.scales)
        inner = (self.start - 1) * (self.start - 2) // 2 if self.inner == "full" else 0
        return {
            "classifier": Count(tried - 1, tried * self.start),
            "generator": Count(forward=tried * (self.start + inner)),
        }
