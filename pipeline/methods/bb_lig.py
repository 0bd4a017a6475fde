from typing import Literal

from pydantic import Field

from pipeline.methods.base import AttributionMethod


class BlackBoxGradients(AttributionMethod):
    """BB-LIG (Sobieski & Biecek 2024): differences of what a black box says, integrated along a direction of codes.

    The way to the first image without the explained class is walked in small steps, and each change of the class's
    log-odds goes to the pixels that move in that step.
    """

    explain = "pipeline.explain.bb_lig:attribute"
    example = "bb-lig: {method: bb-lig, direction: gcd-g}"
    tiny = {"steps": 9, "points": 9, "longest": 100.0}
    bound = 1e-2

    method: Literal["bb-lig"] = Field(description="The method.")
    formula: Literal["published", "complete"] = Field(
        "published",
        description="`published`: the change of the image times its mean slopes, which gives every pixel that moves"
        " evenly the whole change of the log-odds; `complete`: each change is shared among the pixels by how far they"
        " move, so that the map adds up to the whole change.",
    )
    points: int = Field(128, ge=2, description="Images from the original to the first without the class.")
    steps: int = Field(128, ge=2, description="Images on the whole way, among which that one is looked for.")
    longest: float = Field(
        3.0,
        gt=0,
        description="How far an image is led, in standard deviations of the codes along the direction. Where the class"
        " stays all the way, the map is 0.",
    )
    threshold: float = Field(
        0.01, gt=0, lt=1, description="The probability of the explained class below which it is gone."
    )

    def decodes(self) -> int:
        return self.steps + self.points
