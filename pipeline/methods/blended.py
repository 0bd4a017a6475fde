from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Guided, guided_walk


class Blended(Guided):
    """The losses of Blended Diffusion (Avrahami et al. 2022) over the whole image."""

    explain = "pipeline.explain.blended:explain"
    example = "blended: {method: blended, generator: adm, l2_weight: 625}"
    tiny, bound = {"steps": 8, "skip": 4, "l2_weight": 50.0}, 1e-5

    method: Literal["blended"] = Field(description="The method.")
    steps: int = Field(100, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(25, ge=0, description="How many of them, the noisiest, to leave out.")
    classifier_weight: float = Field(25.0, ge=0, description="Weight of the evidence for the target.")
    range_weight: float = Field(50.0, ge=0, description="Weight of pixels out of range.")
    l2_weight: float = Field(1e4, ge=0, description="Weight of the mean squared distance to the image.")

    def spends(self) -> Counts:
        walked = self.steps - self.skip
        return {"classifier": Count(with_backward=walked - 1), "generator": guided_walk(walked, walked - 1, 1)}
