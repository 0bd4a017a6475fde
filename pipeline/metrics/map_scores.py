"""All that is measured of maps: what finds the pixels that matter, and what the classifier says where they are filled.

A metric that follows from maps and the pixels that matter is an entry of METRICS that names its function; others are
yielded here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.infill import Infill
from pipeline.infill.masked import masked_logits
from pipeline.metrics.flipping import flipping_curves, keeping_auc, removal_auc
from pipeline.metrics.functions import loaded
from pipeline.metrics.localisation import fixed_boxes, localisation_error, tuned_boxes
from pipeline.metrics.saliency_metric import saliency_metric
from pipeline.metrics.truth_maps import Scored, among, truth_auroc, truth_mass
from pipeline.noise import Noise

NOT_FILLABLE = "filling in exactly the true parts does not change this decision"
NO_MASS = "the map has no value above 0"
NO_FLIP = "no intervention flips this decision, or its parts are the whole image"
FLAT = "filling in the whole image hardly changes the decision"
NO_BOX = "the image has no box"


class Found(NamedTuple):
    """A metric of all images. reason: why some have no score, for all of these or for each image (N,)."""

    metric: str
    values: Scored
    reason: str | np.ndarray
    infill: str | None = None


@dataclass(frozen=True)
class Explained:
    """The images whose maps are measured, and what is known of them.

    images: (N, 3, H, W) in [0, 1]. targets: (N,). positives: the pixels (N, H, W) that matter, None where that is not
    known. boxes: the true ones of each image, (B, 4). noise: of the in-fillers, a row for each image.
    """

    images: torch.Tensor
    targets: torch.Tensor
    positives: np.ndarray | None
    boxes: Sequence[np.ndarray]
    noise: Noise

    @property
    def size(self) -> tuple[int, int]:
        return tuple(self.images.shape[-2:])


def measure(
    maps: np.ndarray,
    explained: Explained,
    filled: Scored | None,
    classifier: Classifier | None,
    infills: Mapping[str, Infill],
) -> Iterator[Found]:
    """Every metric of maps (N, h, w), one of each image; those that ask a classifier, if one is given.

    filled: of `truth_fill_flips`. infills: those of the evaluation, by their names.
    """
    marked = fixed_boxes(maps, explained.size)
    if filled is not None:
        yield from against_truth(maps, explained.positives, filled)
    yield from by_boxes(maps, marked, explained)
    if classifier is not None:
        yield from by_crops(marked, classifier, explained)
        yield from by_filling(maps, classifier, explained, infills)


def against_truth(maps: np.ndarray, positives: np.ndarray, filled: Scored) -> Iterator[Found]:
    """The maps (N, h, w) against the pixels (N, H, W) that matter; the area also where `filled` says that they flip."""
    area = truth_auroc(maps, positives)
    yield Found("truth_mass", truth_mass(maps, positives), np.where(area.scored, NO_MASS, NO_FLIP))
    yield Found("truth_auroc", area, NO_FLIP)
    fillable = area.scored & filled.scored & (filled.values == 1)
    yield Found("truth_auroc_fillable", among(area.values, fillable), NOT_FILLABLE)
    for name, function in loaded("saliency"):
        yield Found(name, function(maps, positives), NO_FLIP)


def by_boxes(maps: np.ndarray, marked: np.ndarray, explained: Explained) -> Iterator[Found]:
    """Whether the boxes (N, 4) that the maps mark find the true ones; nothing where no image has one."""
    truth = explained.boxes
    if any(len(boxes) for boxes in truth):
        yield Found("localisation_error", localisation_error(marked, truth), NO_BOX)
        tuned = tuned_boxes(maps, truth, explained.size)
        yield Found("localisation_error_tuned", localisation_error(tuned, truth), NO_BOX)


def by_crops(marked: np.ndarray, classifier: Classifier, explained: Explained) -> Iterator[Found]:
    """What the classifier says of the images cut to the boxes (N, 4) that the maps mark."""
    values = np.asarray(saliency_metric(classifier, explained.images, explained.targets, marked))
    yield Found("saliency_metric", Scored(values, np.isfinite(values)), "not finite")


def by_filling(
    maps: np.ndarray, classifier: Classifier, explained: Explained, infills: Mapping[str, Infill]
) -> Iterator[Found]:
    """What the classifier says while the pixels of the images are filled in, by each in-filler."""
    images, targets, noise = explained.images, explained.targets, explained.noise
    for name, infill in infills.items():
        curves = flipping_curves(classifier, images, targets, maps, infill=infill, noise=noise)
        yield Found("removal_auc", removal_auc(curves), FLAT, name)
        yield Found("keeping_auc", keeping_auc(curves), FLAT, name)


def truth_fill_flips(classifier: Classifier, explained: Explained, infill: Infill) -> Scored | None:
    """Whether filling in exactly the pixels that matter changes the decision; nothing where they are not known.

    Only there can a method that fills in find them. Images in which no pixel matters are not scored.
    """
    images, positives, noise = explained.images, explained.positives, explained.noise
    if positives is None:
        return None
    keep = torch.from_numpy(np.stack([np.ones_like(positives), ~positives], axis=1))
    logits = masked_logits(
        classifier, images, lambda image, mask: keep[image, mask][:, None], 2, infill=infill, noise=noise, batch_size=64
    )
    whole, filled = logits.argmax(2).unbind(1)
    return Scored((whole != filled).numpy().astype(float), positives.any((1, 2)))
