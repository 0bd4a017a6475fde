from typing import Literal

from pydantic import Field

from pipeline.infill.declared import Heuristic


class Blur(Heuristic):
    """The image itself, blurred; holes are blurred in."""

    build = "pipeline.infill.heuristics:blur"
    example = "{infill: blur, sigma: 5}"

    infill: Literal["blur"] = Field(description="The in-filler.")
    sigma: float = Field(10.0, gt=0, description="Standard deviation of the blur, in pixels of an image of 224.")
