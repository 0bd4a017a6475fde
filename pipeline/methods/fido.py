from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Spent, cells


class Fido(SaliencyMethod):
    """FIDO (Chang et al. 2019): which pixels, plausibly in-filled, change the decision."""

    explain = "pipeline.explain.fido:explain"
    example = "fido-sdr: {method: fido, objective: sdr, infill: mean}"
    tiny, bound = {"infill": "random", "grid": 4, "masks": 2, "steps": 5, "warm_up": 1}, 1e-4

    method: Literal["fido"] = Field(description="The method.")
    objective: Literal["ssr", "sdr"] = Field(
        "ssr", description="`ssr` keeps as little as preserves the class, `sdr` drops as little as destroys it."
    )
    infill: InfillChoice = Field("blur", description="What stands where pixels are dropped.")
    grid: int | None = Field(None, ge=2, description="Side of the mask in cells; a quarter of the image if not given.")
    masks: int = Field(8, ge=1, description="Masks sampled in each step.")
    steps: int = Field(300, ge=1, description="Steps of optimisation.")
    learning_rate: float = Field(0.05, gt=0, description="First learning rate of Adam; falls linearly.")
    sparsity: float = Field(1e-3, ge=0, description="Log-odds that each pixel of the region costs.")
    total_variation: float = Field(0.0, ge=0, description="Weight of the mask's roughness.")
    temperature: float = Field(0.1, gt=0, description="Temperature of the Concrete relaxation.")
    warm_up: int = Field(30, ge=0, description="Steps over which the costs of the region grow to their full weight.")
    noise_at: Literal["pixel", "cell"] = Field("pixel", description="Whether pixels or whole cells drop together.")
    draws: Literal["independent", "antithetic", "stratified"] = Field(
        "stratified", description="How the masks of a step share their noise; `independent` as published."
    )
    align_corners: bool = Field(
        False, description="Whether the grid is spread from the pixels in the corners on, as published."
    )

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, self.steps * self.masks, cells(self.grid, height, width), self.masks)
