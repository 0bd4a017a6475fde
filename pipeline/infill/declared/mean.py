from typing import Annotated, Literal

from pydantic import Field

from pipeline.infill.declared import Heuristic
from pipeline.section import Share

Colour = Annotated[list[Share], Field(min_length=3, max_length=3)]


class Mean(Heuristic):
    """One colour for all holes of an image."""

    build = "pipeline.infill.heuristics:mean"
    example = "{infill: mean, colour: [0.485, 0.456, 0.406]}"

    infill: Literal["mean"] = Field(description="The in-filler.")
    colour: Literal["image"] | Colour = Field(
        "image",
        description="`image` for the mean of each image, or red, green and blue; [0.485, 0.456, 0.406] as published.",
    )
