from typing import Literal

from pydantic import Field

from pipeline.methods.base import DirectionMethod


class RandomDirection(DirectionMethod):
    """A random direction among those in which codes vary: what any direction must beat."""

    explain = "pipeline.explain.random_direction:find"
    example = "random: {method: random-direction, autoencoder: dae}"
    tiny = {}
    bound = 1e-3

    method: Literal["random-direction"] = Field(description="The method.")
