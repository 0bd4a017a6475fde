from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Diffusion, Odd
from pipeline.section import Share


class Ace(Diffusion):
    """ACE (Jeanneret et al. 2023): an attack through a diffusion model, then in-painting of what it changed."""

    explain = "pipeline.explain.ace:explain"
    example = "ace-l2: {method: ace, generator: adm, distance: l2, dilation: 5}"
    tiny, bound = {"start": 2, "iterations": 3, "threshold": 0.05, "dilation": 3}, 1e-5

    method: Literal["ace"] = Field(description="The method.")
    steps: int = Field(25, ge=1, description="Steps of the whole walk from noise.")
    start: int = Field(5, ge=1, description="How many of them, the cleanest, an image goes back and forth.")
    iterations: int = Field(100, ge=1, description="Steps of the attack.")
    distance: Literal["l1", "l2"] = Field("l1", description="The distance to the image.")
    distance_weight: float = Field(0.001, ge=0, description="Its weight.")
    step_size: float = Field(1 / 255, gt=0, description="Change of every value in a step of the attack.")
    epsilon: float | None = Field(None, gt=0, description="Largest change of a value; any if nothing is said.")
    threshold: Share = Field(
        0.15,
        description="The refinement keeps pixels that change less, as a share of the largest change; 0 keeps none.",
    )
    dilation: Odd = Field(15, description="Side in pixels, odd, over which the largest change counts.")
    recompute: Literal["nothing", "steps"] = Field(
        "nothing", description="`steps` computes steps again for the gradient, which takes less memory."
    )

    def spends(self) -> Counts:
        attacked = self.iterations * self.start
        again = attacked if self.recompute == "steps" else 0
        return {
            "classifier": Count(with_backward=self.iterations),
            "generator": Count(self.start + again, attacked),
        }
