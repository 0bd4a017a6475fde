"""Diffusion visual counterfactuals: guided by the classifier's view of the denoised image, held back by a distance.

`explain` is DVCE (Augustin, Boreiko, Croce & Hein, NeurIPS 2022) as its authors released it; `explain_as_vaeth` is the
variant that Vaeth, Fruehwald, Paassen & Gregorova (2023) evaluated. With x0-hat the denoised image at a step, each step
moves the mean mu of the images before it by its variance times

    g = scale * (classifier_weight * unit(evidence) - distance_weight * unit(distance))

where evidence is the gradient of log p(target | x0-hat), or its robust helper's within a cone around it, and distance
that of the sum of |x0-hat - x0|^power.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from pipeline.classifiers.wrap import Classifier, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.errors import UserError
from pipeline.explain.cone import PROJECTIONS, check_angle, norm, project, unit
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.explain.guided import Batch, Walk, make_counterfactuals, pull_back, target_gradient
from pipeline.explain.masking import check_word
from pipeline.explain.views import draw_views
from pipeline.noise import Noise

PURPOSE = "dvce"
SCALES: dict[str, Callable[[Prediction], Tensor]] = {
    "eps": lambda predicted: norm(predicted.noise.detach()),
    "mu": lambda predicted: norm(predicted.mean.detach()),
}


@dataclass(frozen=True)
class Options:
    """What decides the direction of one step.

    classifier_weight, distance_weight: of the two directions, each of length 1.
    distance_power: p of the distance, from 1 (its gradient is a sign) to 2.
    through_denoiser: whether the evidence is a gradient in x_t, back through the denoiser (the x0-gradient), or in
        x0-hat; the classifier sees x0-hat either way. distance_through_denoiser: the same of the distance.
    guidance_norm: the length that scales both, of the predicted noise ("eps", the DVCE code) or mean ("mu", Vaeth).
    angle, projection: of the cone, see `cone.project`; of no effect without a helper.
    temperature: divides the logits of the classifier, on top of its own; a helper has its own only.
    augmentations: over how many views evidence is averaged: the image itself, and random ones (see `views`).
    """

    classifier_weight: float = 0.1
    distance_weight: float = 0.15
    distance_power: float = 1.0
    through_denoiser: bool = True
    distance_through_denoiser: bool = True
    guidance_norm: str = "eps"
    angle: float = 30.0
    projection: str = "published"
    temperature: float = 1.0
    augmentations: int = 1

    def __post_init__(self) -> None:
        check_word("guidance_norm", self.guidance_norm, SCALES)
        check_word("projection", self.projection, PROJECTIONS)
        check_angle(self.angle)
        if not (self.classifier_weight >= 0 and self.distance_weight >= 0):
            raise UserError(
                f"dvce: classifier_weight is {self.classifier_weight} and distance_weight {self.distance_weight}; use 0"
                " or more, such as 0.1 and 0.15"
            )
        if not 1 <= self.distance_power <= 2:
            raise UserError(f"dvce: distance_power is {self.distance_power}; use a number from 1 to 2, such as 1.5")
        if not self.temperature > 0:
            raise UserError(f"dvce: temperature is {self.temperature}; use a number above 0, such as 1")
        if self.augmentations < 1:
            raise UserError(f"dvce: augmentations is {self.augmentations}; use 1 (the image alone) or more, such as 16")

    @property
    def sends_distance(self) -> bool:
        """Whether the distance takes a pass back through the denoiser."""
        return self.distance_through_denoiser and self.distance_weight > 0

    def denoiser_gradients(self, judges: int) -> int:
        """Backward passes through the denoiser in a step."""
        return self.through_denoiser * judges + self.sends_distance


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    helper: Classifier | None = None,
    region: Tensor | None = None,
    batch_size: int | BatchSize = 8,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 200,
    skip: int = 100,
    classifier_weight: float = 0.1,
    distance_weight: float = 0.15,
    distance_power: float = 1.0,
    through_denoiser: bool = True,
    distance_through_denoiser: bool = True,
    guidance_norm: str = "eps",
    angle: float = 30.0,
    projection: str = "published",
    temperature: float = 1.0,
    augmentations: int = 1,
    output: str = "clean",
) -> Counterfactuals:
    """Make each image one that the classifier takes for its target, close to it and plausible to a denoiser.

    images: (N, 3, H, W) in [0, 1] at the denoiser's size; targets: (N,) classes; noise: a row for each image.
    denoiser: on its full schedule, weights frozen. helper: a robust classifier of the same classes, whose gradient is
    projected onto a cone around the classifier's; None for no cone. region: (N, H, W) bool, True for pixels that may
    change; None for all.
    steps, skip: of the walk, see `Walk`. output: "clean" (x0-hat of the last step, as DVCE) or "sample" (as Vaeth);
    either is clamped to [0, 1]. The other options: see `Options`.

    Returns Counterfactuals. A step is one pass forward through the denoiser, and `augmentations` through each of the
    classifiers; back through the denoiser it is none without x0-gradient, one with it, two with it and a cone, and one
    more for the distance. The step that yields "clean" needs no guidance.
    Raises UserError for options out of range, a classifier without gradients, or a helper with other classes.
    """
    options = Options(
        classifier_weight,
        distance_weight,
        distance_power,
        through_denoiser,
        distance_through_denoiser,
        guidance_norm,
        angle,
        projection,
        temperature,
        augmentations,
    )
    judges = [classifier] if helper is None else [classifier, checked_helper(helper, classifier)]
    for judge in judges:
        require_gradients(judge, PURPOSE)
    walk = Walk(steps, skip, output, len(judges) * augmentations, options.denoiser_gradients(len(judges)))
    return make_counterfactuals(
        denoiser,
        images,
        targets,
        noise,
        walk,
        lambda batch, schedule: partial(direction, judges, batch, options),
        batch_size=batch_size,
        device=classifier.mean.device,
        progress=progress,
        region=region,
    )


def explain_as_vaeth(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser,
    noise: Noise,
    helper: Classifier | None = None,
    region: Tensor | None = None,
    batch_size: int | BatchSize = 8,
    progress: Callable[[int], object] = lambda images: None,
    steps: int = 200,
    skip: int = 100,
    classifier_weight: float = 0.1,
    distance_weight: float = 0.15,
    distance_power: float = 1.0,
    through_denoiser: bool = True,
    angle: float = 30.0,
    projection: str = "published",
    temperature: float = 1.0,
    augmentations: int = 1,
) -> Counterfactuals:
    """Make counterfactuals as `explain` does, in the variant of Vaeth et al. (2023).

    The length of the predicted mean scales the guidance, the distance is taken in x0-hat and does not go back through
    the denoiser, and the counterfactual is what the last step leads to. Theirs stays unclipped; here it is clamped to
    [0, 1], where images live. What they vary is `helper` (cone projection) and `through_denoiser` (x0-gradient).
    """
    return explain(
        classifier,
        images,
        targets,
        denoiser=denoiser,
        noise=noise,
        helper=helper,
        region=region,
        batch_size=batch_size,
        progress=progress,
        steps=steps,
        skip=skip,
        classifier_weight=classifier_weight,
        distance_weight=distance_weight,
        distance_power=distance_power,
        through_denoiser=through_denoiser,
        distance_through_denoiser=False,
        guidance_norm="mu",
        angle=angle,
        projection=projection,
        temperature=temperature,
        augmentations=augmentations,
        output="sample",
    )


def direction(
    judges: list[Classifier], batch: Batch, options: Options, noised: Tensor, predicted: Prediction, step: int
) -> Tensor:
    """g (N, 3, H, W) of one step. judges: the classifier, and its helper if there is one.

    Gradients are scaled to length 1 already before they go back through the denoiser: that pass is linear, and only
    directions count, so that none is lost where a saturated classifier gives very small ones.
    """
    clean = predicted.clean.detach()
    views = draw_views(batch.noise, step, options.augmentations, clean)
    temperatures = [options.temperature, 1.0]
    evidence = [
        unit(target_gradient(judge, clean, batch.targets, views, temperature))
        for judge, temperature in zip(judges, temperatures, strict=False)
    ]
    distance = unit(distance_gradient(clean, batch.originals, options.distance_power))

    sent = (evidence if options.through_denoiser else []) + ([distance] if options.sends_distance else [])
    arrived = pull_back(sent, predicted.clean, noised)
    if options.sends_distance:
        distance = arrived.pop()
    if options.through_denoiser:
        evidence = arrived

    leading = project(*evidence, options.angle, options.projection) if len(judges) == 2 else evidence[0]
    pushed = options.classifier_weight * unit(leading) - options.distance_weight * unit(distance)
    return SCALES[options.guidance_norm](predicted) * pushed


def distance_gradient(clean: Tensor, originals: Tensor, power: float) -> Tensor:
    """The gradient of the sum of |clean - original|^power / power by each pixel of `clean`."""
    difference = clean - originals
    return difference.sign() * difference.abs() ** (power - 1)


def checked_helper(helper: Classifier, classifier: Classifier) -> Classifier:
    if helper.classes != classifier.classes:
        raise UserError(
            f"the helper '{helper.name}' has the classes {', '.join(helper.classes)} and classifier '{classifier.name}'"
            f" has {', '.join(classifier.classes)}; use a helper of the same task with the same classes in that order"
        )
    return helper
