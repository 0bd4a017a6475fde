from typing import Literal

from pydantic import Field

from pipeline.methods.base import Count, Counts
from pipeline.methods.diffusion import Guided
from pipeline.section import Name


class ClassifierGuidance(Guided):
    """Classifier guidance (Dhariwal & Nichol 2021) from a noised image on, by a network trained on noised images."""

    explain = "pipeline.explain.classifier_guidance:explain"
    example = "guided: {method: classifier-guidance, generator: adm, guide: guide, scale: 5}"
    tiny, bound = {"steps": 8, "skip": 4}, 1e-5

    method: Literal["classifier-guidance"] = Field(description="The method.")
    guide: Name = Field(description="The classifier of noised images that guides; an entry of `generators`.")
    steps: int = Field(250, ge=1, description="Steps of the whole walk from noise.")
    skip: int = Field(125, ge=0, description="How many of them, the noisiest, to leave out.")
    scale: float = Field(10.0, ge=0, description="Of the gradient.")
    sampler: Literal["ancestral", "ddim"] = Field("ancestral", description="How a step is taken.")
    clip: bool = Field(True, description="Keep the denoised image in range at each step.")

    def spends(self) -> Counts:
        walked = self.steps - self.skip
        return {"guide": Count(with_backward=walked), "generator": Count(forward=walked)}
