"""Maps from the gradient of the classifier: plain, and integrated along a straight line from a baseline."""

from collections.abc import Callable

import torch

from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import in_batches
from pipeline.errors import UserError, nearest
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.noise import Noise

PURPOSE = "gradients"


def gradient(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    channels: str = "max",
    score: str = "log-odds",
) -> Maps:
    """Absolute gradient of the score of the target by each pixel (Simonyan et al. 2014, section 3; captum's Saliency).

    images: (N, 3, H, W) in [0, 1]; targets: (N,) indices of classes. Draws no noise and fills nothing in.
    channels: "max" (as published) or "sum" of the absolute values over the three channels.
    score: "log-odds" of the target, or its "logit" alone, as published.

    Returns maps (N, H, W), 0 or above; one network evaluation for each image.
    """
    from captum.attr import Saliency

    require_gradients(classifier, "gradient")
    reduce = {"max": lambda slopes: slopes.amax(1), "sum": lambda slopes: slopes.sum(1)}
    reduce_channels = reduce[chosen("gradient", "channels", channels, reduce)]
    saliency = Saliency(class_score("gradient", classifier, score))

    def explain_batch(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        slopes = saliency.attribute(images.detach().requires_grad_(), additional_forward_args=targets, abs=True)
        return reduce_channels(slopes)

    maps = in_batches(
        explain_batch, images, targets, batch_size=batch_size, device=classifier.mean.device, progress=progress
    )
    return Maps(maps.float(), None, torch.full((len(images),), 1), None)


def integrated_gradients(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    steps: int = 32,
    sign: str = "absolute",
    score: str = "log-odds",
) -> Maps:
    """Gradient integrated from a baseline to the image, times their difference (Sundararajan et al. 2017, section 3).

    images: (N, 3, H, W) in [0, 1]; targets: (N,) indices of classes.
    infill: the baseline is its background of the image with every pixel dropped; black without one, as published.
    steps: nodes of the Gauss-Legendre rule (captum's default), each an evaluation. sign: "absolute" value of the sum
    over channels, or "signed", which adds up to the score of the image less that of the baseline (completeness).
    score: "log-odds" of the target, or its "logit" alone.

    Returns maps (N, H, W); `steps` network evaluations for each image.
    """
    from captum.attr import IntegratedGradients

    require_gradients(classifier, "integrated-gradients")
    if steps < 1:
        raise UserError(f"method 'integrated-gradients': steps is {steps}; use 1 or more, such as 32")
    signs = {"absolute": torch.abs, "signed": lambda attributions: attributions}
    with_sign = signs[chosen("integrated-gradients", "sign", sign, signs)]
    integrated = IntegratedGradients(class_score("integrated-gradients", classifier, score))
    device = classifier.mean.device
    noise = noise.for_purpose(f"{noise.purpose}: in-fill").to(device)

    def explain_batch(rows: torch.Tensor) -> torch.Tensor:
        chosen_rows = rows.to(images.device)
        inputs = images[chosen_rows].to(device)
        attributions = integrated.attribute(
            inputs,
            empty_image(infill, inputs, noise.select(rows)),
            additional_forward_args=targets.to(device)[rows],
            n_steps=steps,
            internal_batch_size=batch_size,
        )
        return with_sign(attributions.sum(1))

    # A call of the network holds images x steps rows, so few images go together; with fewer rows than steps captum
    # takes the steps of one image in turns.
    together = max(1, batch_size // steps)
    maps = in_batches(
        explain_batch, torch.arange(len(images)), batch_size=together, device=device, progress=progress
    ).to(images.device)
    return Maps(maps.float(), None, torch.full((len(images),), steps), None)


def empty_image(infill: Infill | None, images: torch.Tensor, noise: Noise) -> torch.Tensor:
    """What is left of images (N, 3, H, W) when every pixel is dropped: the in-filler's background, or black."""
    if infill is None:
        return torch.zeros_like(images)
    return infill(images, torch.zeros_like(images[:, :1]), noise=noise, step=0)


def class_score(
    method: str, classifier: Classifier, score: str
) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """The function from images (N, 3, H, W) and targets (N,) to scores (N,) that is called `score`."""
    scores = {
        "log-odds": lambda images, targets: log_odds(classifier(images), targets),
        "logit": lambda images, targets: classifier(images).gather(1, targets[:, None])[:, 0],
    }
    return scores[chosen(method, "score", score, scores)]


def chosen(method: str, option: str, value: str, valid: dict) -> str:
    """`value` if the option can have it; UserError with the nearest valid word if not."""
    if value not in valid:
        close = nearest(str(value), valid) or next(iter(valid))
        raise UserError(f"method '{method}': {option} is {value!r}; use {close} (one of {', '.join(valid)})")
    return value
