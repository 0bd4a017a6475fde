from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Spent, cells
from pipeline.section import Share


class BbmpInFido(SaliencyMethod):
    """Meaningful perturbation as the FIDO paper implements it for comparison."""

    explain = "pipeline.explain.bbmp:explain_in_fido"
    example = "bbmp-fido: {method: bbmp-fido, objective: sdr}"
    tiny, bound = {"infill": "random", "grid": 4, "steps": 5}, 1e-4

    method: Literal["bbmp-fido"] = Field(description="The method.")
    objective: Literal["ssr", "sdr"] = Field("ssr", description="As for `fido`.")
    infill: InfillChoice = Field("blur", description="What stands where pixels are dropped.")
    grid: int | None = Field(None, ge=2, description="Side of the mask in cells; a quarter of the image if not given.")
    steps: int = Field(300, ge=1, description="Steps of optimisation.")
    learning_rate: float = Field(0.05, gt=0, description="First learning rate of Adam; falls linearly.")
    sparsity: float = Field(5e-3, ge=0, description="Log-odds that each pixel of the region costs.")
    total_variation: float = Field(0.0, ge=0, description="Weight of the mask's roughness.")
    warm_up: int = Field(1, ge=0, description="Steps over which the costs of the region grow to their full weight.")
    kept_from: Share = Field(
        1.0, description="The mask from which a pixel is no hole for an in-filler that looks at it; FIDO's rule is 0.5."
    )
    align_corners: bool = Field(
        False, description="Whether the grid is spread from the pixels in the corners on, as published."
    )

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, self.steps, cells(self.grid, height, width))
