from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, CounterfactualMethod, Counts


class Pgd(CounterfactualMethod):
    """Projected gradient descent (Madry et al. 2018): an adversarial image, the control that means nothing."""

    explain = "pipeline.explain.pgd:explain"
    example = "pgd: {method: pgd, ball: l2, radius: 3.4}"
    tiny, bound = {"iterations": 3}, 1e-5

    method: Literal["pgd"] = Field(description="The method.")
    ball: Literal["linf", "l2"] = Field("linf", description="The ball around the image.")
    radius: float | None = Field(None, gt=0, description="Of the ball; 8 / 255 (linf) or 12 (l2) if not given.")
    iterations: int = Field(20, ge=1, description="Steps of the attack.")

    def spends(self) -> Counts:
        return {"classifier": Count(with_backward=self.iterations)}
