"""Scales of a gradient, tried in turn on the images that the one before did not flip, as DiME and its heirs do."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier
from pipeline.device import BatchSize, in_batches
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals, image_by_image
from pipeline.noise import Noise


def first_that_flips(
    walk_at: Callable[[float], Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]],
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    noise: Noise,
    scales: Sequence[float],
    *,
    batch_size: int | BatchSize,
    progress: Callable[[int], object],
    region: Tensor | None = None,
) -> Counterfactuals:
    """Counterfactuals of the first scale that makes the classifier decide for the target, or else of the last.

    walk_at: of a scale, what makes counterfactuals; it and `region` are as `image_by_image` takes them. All scales draw
    the same noise, so that only the scale differs. Seeing whether a scale flipped is one evaluation of the classifier,
    which the last one needs not.
    """
    batches = {"batch_size": batch_size, "device": classifier.mean.device}
    made, counts = images.clone(), torch.zeros(3, len(images), dtype=torch.int64)
    waiting = torch.arange(len(images))
    for attempt, scale in enumerate(scales, start=1):
        if not len(waiting):
            break
        chosen, wanted = waiting.to(images.device), targets[waiting.to(targets.device)]
        tried = image_by_image(
            walk_at(scale),
            images[chosen],
            wanted,
            noise.select(waiting.tolist()),
            **batches,
            region=None if region is None else region[waiting.to(region.device)],
        )
        made[chosen] = tried.images
        counts[:, waiting] += torch.stack(
            [tried.classifier_evaluations, tried.denoiser_evaluations, tried.denoiser_gradients]
        )
        if attempt == len(scales):
            break
        flipped = in_batches(partial(decided, classifier), tried.images, **batches).cpu() == wanted.cpu()
        counts[0, waiting] += 1
        progress(int(flipped.sum()))
        waiting = waiting[~flipped]
    progress(len(waiting))
    return Counterfactuals(made, *counts)


def check_scales(method: str, scales: Sequence[float]) -> None:
    if not scales or not all(scale > 0 for scale in scales):
        raise UserError(f"{method}: scales is {list(scales)}; give numbers above 0, such as [8, 10, 15]")


@torch.no_grad()
def decided(classifier: Classifier, images: Tensor) -> Tensor:
    """The class (N,) that the classifier decides for."""
    return classifier(images).argmax(1)
