from typing import Literal

from pydantic import Field

from pipeline.methods.base import Counts
from pipeline.methods.diffusion import Steered


class Vaeth(Steered):
    """DVCE in the variant that Vaeth et al. (2023) evaluated."""

    explain = "pipeline.explain.dvce:explain_as_vaeth"
    example = "vaeth: {method: vaeth, generator: adm, cone: {helper: smile-robust}}"
    tiny, bound = {"steps": 8, "skip": 4, "cone": {"helper": "helper"}}, 1e-5

    method: Literal["vaeth"] = Field(description="The method.")

    def spends(self) -> Counts:
        return self.steered(ends_clean=False, sends_distance=False)
