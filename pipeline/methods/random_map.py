from typing import Literal

from pydantic import Field

from pipeline.methods.base import SaliencyMethod, Spent
from pipeline.section import Share


class RandomMap(SaliencyMethod):
    """A random map, such as a smooth one. Noise of each pixel is a control of every study, without an entry here."""

    explain = "pipeline.explain.random_map:explain"
    example = "random: {method: random, smooth: 0.1}"
    tiny, bound = {}, 1e-6

    method: Literal["random"] = Field(description="The method.")
    smooth: Share = Field(0.0, description="Blur of the map, as a share of the side.")

    def spends(self, height: int, width: int) -> Spent:
        return Spent(0, 0, height * width)
