from typing import Literal

from pydantic import Field

from pipeline.methods.base import InfillChoice, SaliencyMethod, Spent


class Occlusion(SaliencyMethod):
    """Occlusion (Zeiler & Fergus 2014): the fall of the score when a window is filled in."""

    explain = "pipeline.explain.occlusion:explain"
    own_infill = "mean"
    example = "occlusion: {method: occlusion, infill: mean, window: 0.2}"
    tiny, bound = {"infill": "random", "window": 0.5, "stride": 0.5}, 1e-4

    method: Literal["occlusion"] = Field(description="The method.")
    infill: InfillChoice | None = Field(None, description="What the window shows; the image's mean if not given.")
    window: float = Field(0.25, gt=0, le=1, description="Side of the window, as a share of the image's.")
    stride: float = Field(0.125, gt=0, le=1, description="Step of the window, as a share of the image's side.")

    def spends(self, height: int, width: int) -> Spent:
        """The image itself, and one for every place of the window."""
        scored = 1 + places(height, self.window, self.stride) * places(width, self.window, self.stride)
        return Spent(scored, 0, height * width, scored)


def places(length: int, window: float, stride: float) -> int:
    """Places of a window on its way along one side; the last one ends where the image ends."""
    size, step = max(1, round(window * length)), max(1, round(stride * length))
    return len(range(0, length - size, step)) + 1
