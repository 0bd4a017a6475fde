from typing import Annotated, Literal

from pydantic import Field

from pipeline.infill.declared import Heuristic
from pipeline.section import Share


class LocalMean(Heuristic):
    """The mean of the kept pixels around each pixel."""

    build = "pipeline.infill.heuristics:local_mean"
    example = "{infill: local-mean, width: 31}"

    infill: Literal["local-mean"] = Field(description="The in-filler.")
    width: float = Field(15, ge=1, description="Side of the box around a pixel, in pixels of an image of 224.")
    colour: Annotated[list[Share], Field(min_length=3, max_length=3)] = Field(
        [0.0, 0.0, 0.0], description="Red, green and blue where nothing around is kept."
    )
