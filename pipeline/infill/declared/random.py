from typing import Literal

from pydantic import Field

from pipeline.infill.declared import Heuristic


class Random(Heuristic):
    """A random colour for each mask, with noise for each pixel; always anew."""

    build = "pipeline.infill.heuristics:random"
    example = "{infill: random, spread: 0.1}"

    infill: Literal["random"] = Field(description="The in-filler.")
    spread: float = Field(0.2, ge=0, description="Standard deviation of the noise.")
