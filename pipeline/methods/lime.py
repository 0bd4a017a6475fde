from math import isqrt
from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Spent


class Lime(SaliencyMethod):
    """LIME (Ribeiro et al. 2016) on the cells of a square grid, through captum."""

    explain = "pipeline.explain.lime:explain"
    own_infill = "mean"
    example = "lime: {method: lime, infill: blur, samples: 512}"
    tiny, bound = {"infill": "random", "segments": 4, "samples": 8}, 1e-4

    method: Literal["lime"] = Field(description="The method.")
    infill: InfillChoice | None = Field(None, description="What absent cells show; their image's mean if not given.")
    segments: int = Field(49, ge=4, description="Number of cells, a square number.")
    samples: int = Field(256, ge=8, description="Images with random cells absent.")
    kernel_width: float = Field(0.25, gt=0, description="Width of the weight of an image by how much it keeps.")
    penalty: float = Field(1.0, ge=0, description="Penalty of the ridge regression.")

    def spends(self, height: int, width: int) -> Spent:
        return Spent(self.samples, 0, isqrt(self.segments) ** 2, self.samples)
