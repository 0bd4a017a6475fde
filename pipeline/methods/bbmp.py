from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Spent, cells

CELLS = 28  # of the mask along the height
DISC_RADII = 35  # of the first mask, each tried once


class Bbmp(SaliencyMethod):
    """Meaningful perturbation (Fong & Vedaldi 2017), as its authors published it."""

    explain = "pipeline.explain.bbmp:explain"
    own_infill = "blur"
    example = "bbmp: {method: bbmp}"
    tiny, bound = {"infill": "random", "grid": 4, "steps": 5}, 1e-2

    method: Literal["bbmp"] = Field(description="The method.")
    infill: InfillChoice | None = Field(
        None, description="What replaces the image; its blur, as published, if not given."
    )
    grid: int | None = Field(None, ge=2, description="Side of the mask in cells; 28 if not given.")
    steps: int = Field(300, ge=1, description="Steps of optimisation.")
    learning_rate: float = Field(0.1, gt=0, description="Learning rate of Adam.")
    sparsity: float = Field(1e-4, ge=0, description="Probability of the class that deleting a cell costs.")
    total_variation: float = Field(1e-2, ge=0, description="Weight of the mask's roughness.")
    exponent: float = Field(3.0, ge=1, description="Power of the differences of cells in the roughness.")
    mask_blur: float = Field(5.0, ge=0, description="Blur of the mask, in pixels of an image of 224.")
    through_blur: bool = Field(False, description="Whether the gradient knows of that blur.")
    jitter: float = Field(4.0, ge=0, description="Shift of the image in each step, in pixels of an image of 224.")
    start: Literal["disc", "random"] = Field(
        "disc", description="The first mask: the smallest disc that takes the class away, or noise."
    )

    def spends(self, height: int, width: int) -> Spent:
        """Deleting the whole image and each disc, for the start; then the steps."""
        searched = DISC_RADII + 1 if self.start == "disc" else 0
        return Spent(searched, self.steps, cells(self.grid or min(CELLS, height), height, width))
