from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Guided, Region, guided_walk


class RegionGuidance(Guided):
    """Guidance confined to a region (after RCSB, Sobieski et al. 2025): if only this may change, does the decision?

    A step is one pass through the generator, and with `through_denoiser` one back.
    """

    explain = "pipeline.explain.region_guidance:explain"
    example = "mouth: {method: region-guidance, generator: adm, region: {parts: [smile]}}"
    tiny, bound = {"steps": 8, "skip": 4, "region": {"parts": ["patch"]}}, 1e-5

    method: Literal["region-guidance"] = Field(description="The method.")
    region: Region = Field(description="Where an image may change.")
    steps: int = Field(100, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(40, ge=0, description="How many of them, the noisiest, to leave out.")
    scale: float = Field(1.5, ge=0, description="The length of the first push, in the whole image.")
    through_denoiser: bool = Field(True, description="Take the gradient through the denoiser (the x0-gradient).")

    def spends(self) -> Counts:
        walked = self.steps - self.skip
        guided = walked - 1
        return {
            "classifier": Count(with_backward=guided),
            "generator": guided_walk(walked, guided, int(self.through_denoiser)),
        }
