from typing import Literal

from pydantic import Field

from pipeline.methods.base import SaliencyMethod, Score, Spent

CELLS = 8  # on a side: the layer decides, and is only known once the network is there


class GradCam(SaliencyMethod):
    """Grad-CAM (Selvaraju et al. 2017), through captum; finds the layer itself, of vision transformers too."""

    explain = "pipeline.explain.grad_cam:explain"
    example = "grad-cam: {method: grad-cam}"
    tiny, bound = {"smallest_grid": 2, "positive": False}, 1e-5

    method: Literal["grad-cam"] = Field(description="The method.")
    layer: str | None = Field(None, description="Dotted name of a module; the last one that keeps a grid if not given.")
    smallest_grid: int = Field(4, ge=1, description="Cells on each side of such a grid, at least, if one has them.")
    positive: bool = Field(True, description="Cut the map at 0, as published.")
    score: Score = Field("log-odds", description="What is differentiated.")

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, 1, CELLS**2)
