from typing import Literal

from pydantic import Field

from pipeline.methods.base import Counts
from pipeline.methods.diffusion import Steered


class Dvce(Steered):
    """Diffusion visual counterfactuals (Augustin et al. 2022), as their authors released them.

    A step is one pass through the generator, and with `through_denoiser` one back, with a cone two; with
    `distance_through_denoiser` one more.
    """

    explain = "pipeline.explain.dvce:explain"
    example = "dvce: {method: dvce, generator: adm, steps: 100, skip: 50}"
    tiny, bound = {"steps": 8, "skip": 4, "cone": {"helper": "helper"}, "augmentations": 2}, 1e-5

    method: Literal["dvce"] = Field(description="The method.")
    distance_through_denoiser: bool = Field(True, description="Take the gradient of the distance through the denoiser.")
    guidance_norm: Literal["eps", "mu"] = Field(
        "eps", description="The length of the guidance: that of the predicted noise, or of the predicted mean."
    )
    output: Literal["clean", "sample"] = Field(
        "clean", description="The denoised image of the last step, or what that step leads to."
    )

    def spends(self) -> Counts:
        """The step that yields the denoised image needs no guidance."""
        return self.steered(self.output == "clean", self.distance_through_denoiser and self.distance_weight > 0)
