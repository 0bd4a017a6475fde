from typing import Annotated, Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Guided, Odd, SomeShare


class MaskDime(Guided):
    """MaskDiME (CVPR 2026): DiME at the estimate of the end, moved only where the evidence is strong.

    A step is one pass through the generator and none back.
    """

    explain = "pipeline.explain.maskdime:explain"
    example = "maskdime: {method: maskdime, generator: adm, gradient_scale: 1, scales: [1, 2, 4], spread: 3}"
    tiny = {"steps": 8, "start": 3, "scales": [1.0, 4.0], "share": 0.2, "spread": 3, "region": {"parts": ["patch"]}}
    bound = 1e-5

    method: Literal["maskdime"] = Field(description="The method.")
    steps: int = Field(200, ge=1, description="Steps of the whole walk from noise.")
    start: int = Field(60, ge=1, description="How many of them, the cleanest, are walked.")
    scales: list[Annotated[float, Field(gt=0)]] = Field(
        [8.0, 10.0, 15.0], min_length=1, description="Of the evidence, tried in turn until the decision changes."
    )
    evidence: Literal["log-odds", "log-probability"] = Field("log-odds", description="What is differentiated.")
    gradient_scale: float = Field(
        8.0,
        ge=0,
        description="Of evidence and distances together. The default is published for faces of 128 pixels; where it"
        " leaves coloured specks, take less.",
    )
    l1_weight: float = Field(0.05, ge=0, description="Weight of the sum of absolute changes.")
    share: SomeShare = Field(
        0.05, description="Of the pixels, those with the strongest evidence, which change in a step."
    )
    inner_share: SomeShare = Field(
        0.5, description="Of these, again the strongest: where the classifier is shown the denoised image."
    )
    spread: Odd = Field(5, description="Side in pixels, odd, of the square by which chosen pixels are grown.")

    def spends(self) -> Counts:
        """At most: an image that a scale has flipped is not tried with the next one."""
        tried = len(self.scales)
        return {
            "classifier": Count(tried - 1, tried * self.start),
            "generator": Count(forward=tried * self.start),
        }
