from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, CounterfactualMethod, Counts


class Svce(CounterfactualMethod):
    """Sparse counterfactuals of a robust classifier (Boreiko et al. 2022), without a diffusion model."""

    explain = "pipeline.explain.svce:explain"
    example = "svce: {method: svce, radius: 28.2}"
    tiny, bound = {"iterations": 4, "radius": 4.0}, 1e-5

    method: Literal["svce"] = Field(description="The method.")
    radius: float = Field(150.0, gt=0, description="Of the ball around the image; published for 224 pixels.")
    norm: float = Field(1.5, gt=1, le=10, description="Of the ball.")
    iterations: int = Field(75, ge=1, description="Steps of Frank-Wolfe.")
    step_size: Literal["decaying", "constant"] = Field("decaying", description="The size of a step.")

    def spends(self) -> Counts:
        """The last step is only looked at."""
        return {"classifier": Count(1, self.iterations)}
