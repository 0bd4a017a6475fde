"""The section `saliency`: methods that explain a decision by a map, each with its options."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pipeline.study.method import Method
from pipeline.study.section import Share

InfillName = Literal["mean", "blur", "random", "local-mean"]
Score = Literal["log-odds", "logit"]


class Fido(Method):
    """FIDO (Chang et al. 2019): which pixels, plausibly in-filled, change the decision."""

    method: Literal["fido"] = Field(description="The method.")
    objective: Literal["ssr", "sdr"] = Field(
        "ssr", description="`ssr` keeps as little as preserves the class, `sdr` drops as little as destroys it."
    )
    infill: InfillName = Field("blur", description="What stands where pixels are dropped.")
    grid: int | None = Field(None, ge=2, description="Side of the mask in cells; a quarter of the image if not given.")
    masks: int = Field(8, ge=1, description="Masks sampled in each step.")
    steps: int = Field(300, ge=1, description="Steps of optimisation.")
    learning_rate: float = Field(0.05, gt=0, description="First learning rate of Adam; falls linearly.")
    sparsity: float = Field(1e-3, ge=0, description="Log-odds that each pixel of the region costs.")
    total_variation: float = Field(0.0, ge=0, description="Weight of the mask's roughness.")
    temperature: float = Field(0.1, gt=0, description="Temperature of the Concrete relaxation.")
    warm_up: int = Field(30, ge=0, description="Steps over which the costs of the region grow to their full weight.")
    noise_at: Literal["pixel", "cell"] = Field("pixel", description="Whether pixels or whole cells drop together.")
    draws: Literal["independent", "antithetic", "stratified"] = Field(
        "stratified", description="How the masks of a step share their noise; `independent` as published."
    )


class Bbmp(Method):
    """Meaningful perturbation (Fong & Vedaldi 2017), as its authors published it."""

    method: Literal["bbmp"] = Field(description="The method.")


class BbmpInFido(Method):
    """Meaningful perturbation as the FIDO paper implements it for comparison."""

    method: Literal["bbmp-fido"] = Field(description="The method.")
    objective: Literal["ssr", "sdr"] = Field("ssr", description="As for `fido`.")
    infill: InfillName = Field("blur", description="What stands where pixels are dropped.")


class Gradient(Method):
    """The gradient of the score (Simonyan et al. 2014), through captum."""

    method: Literal["gradient"] = Field(description="The method.")
    channels: Literal["max", "sum"] = Field("max", description="How the channels' absolute values become one.")
    score: Score = Field("log-odds", description="What is differentiated.")


class IntegratedGradients(Method):
    """Integrated gradients (Sundararajan et al. 2017), through captum."""

    method: Literal["integrated-gradients"] = Field(description="The method.")
    infill: InfillName | None = Field(None, description="The baseline; black if nothing is said, as published.")
    steps: int = Field(32, ge=2, description="Points of the path.")
    sign: Literal["absolute", "signed"] = Field("absolute", description="Whether evidence against counts too.")
    score: Score = Field("log-odds", description="What is differentiated.")


class GradCam(Method):
    """Grad-CAM (Selvaraju et al. 2017), through captum; finds the layer itself, of vision transformers too."""

    method: Literal["grad-cam"] = Field(description="The method.")
    layer: str | None = Field(None, description="Dotted name of a module; the last one that keeps a grid if not given.")
    positive: bool = Field(True, description="Cut the map at 0, as published.")
    score: Score = Field("log-odds", description="What is differentiated.")


class Lime(Method):
    """LIME (Ribeiro et al. 2016) on the cells of a square grid, through captum."""

    method: Literal["lime"] = Field(description="The method.")
    infill: InfillName | None = Field(None, description="What absent cells show; their image's mean if not given.")
    segments: int = Field(49, ge=4, description="Number of cells, a square number.")
    samples: int = Field(256, ge=8, description="Images with random cells absent.")
    kernel_width: float = Field(0.25, gt=0, description="Width of the weight of an image by how much it keeps.")
    penalty: float = Field(1.0, ge=0, description="Penalty of the ridge regression.")


class Occlusion(Method):
    """Occlusion (Zeiler & Fergus 2014): the fall of the score when a window is filled in."""

    method: Literal["occlusion"] = Field(description="The method.")
    infill: InfillName | None = Field(None, description="What the window shows; the image's mean if not given.")
    window: float = Field(0.25, gt=0, le=1, description="Side of the window, as a share of the image's.")
    stride: float = Field(0.125, gt=0, le=1, description="Step of the window, as a share of the image's side.")


class RandomMap(Method):
    """A random map, such as a smooth one. Noise of each pixel is a control of every study, without an entry here."""

    method: Literal["random"] = Field(description="The method.")
    smooth: Share = Field(0.0, description="Blur of the map, as a share of the side.")


SaliencyMethod = Annotated[
    Fido | Bbmp | BbmpInFido | Gradient | IntegratedGradients | GradCam | Lime | Occlusion | RandomMap,
    Field(discriminator="method"),
]
