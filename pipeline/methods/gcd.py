from typing import Any, Literal

from pydantic import Field

from pipeline.methods.base import DirectionMethod

SMALLEST = 9  # decodes: the source and four pairs of probes, which two halves can be made of
PROBING = ("estimator", "decodes", "radius", "agreement", "round")


class GlobalDirections(DirectionMethod):
    """Global Counterfactual Directions (Sobieski & Biecek 2024): of a black box, searched around one image."""

    explain = "pipeline.explain.gcd:find"
    libraries = ("torch",)
    example = "gcd-g: {method: gcd, kind: g, autoencoder: dae, decodes: 256}"
    tiny = {"decodes": 33, "axes": 1, "kind": "h"}
    bound = 1e-3

    method: Literal["gcd"] = Field(description="The method.")
    kind: Literal["g", "h"] = Field(
        "g", description="`g`: the gradient of what the classifier says; `h`: an axis of its curvature."
    )
    estimator: Literal["differences", "proxy"] = Field(
        "differences",
        description="`proxy`: a small network fitted to probes in all directions alike, as published, for which tens of"
        " thousands of decodes are usual; `differences`: between pairs of probes along the axes in which codes vary.",
    )
    decodes: int = Field(
        256, ge=SMALLEST, description="Images decoded and shown to the classifier at most, to find directions."
    )
    radius: float = Field(
        1.0,
        gt=0,
        description="Of the probes: differences in standard deviations, a proxy in units of the code.",
    )
    axes: int = Field(4, ge=1, description="h: how many axes are tried, each both ways.")
    agreement: float = Field(
        0.95, gt=0, le=1, description="differences: cosine with the truth to expect, at which the search ends."
    )
    round: int = Field(1024, ge=SMALLEST, description="proxy: probes, at most, of which one batch is held out.")

    def probing(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in PROBING}

    def probes(self) -> int:
        return self.decodes

    def candidates(self) -> int:
        return 2 * self.axes if self.kind == "h" else 2 if self.estimator == "proxy" else 1
