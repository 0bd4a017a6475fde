"""Maps against the truth: do they rank the pixels high whose change flips the classifier?

An intervention changes one concept of a scene and nothing else; where that flips the decision, the pixels of the part
that shows the concept are positive. Yang & Kim 2019 too compare maps with what a classifier is made to depend on; here
the classifier itself says, for each image, what it depends on.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Scored(NamedTuple):
    """Values (N,) in float64, one per image, and which of them mean something.

    scored: (N,) bool. Where it is False the image cannot be scored, and its value is 0 and must not be used.
    """

    values: np.ndarray
    scored: np.ndarray


def everything(values: ArrayLike) -> Scored:
    """All values (N,) count."""
    values = np.asarray(values, np.float64)
    return Scored(values, np.ones(len(values), bool))


def among(values: np.ndarray, scored: np.ndarray) -> Scored:
    """The values (N,) of some rows; the others have 0, which must not be used."""
    return Scored(np.where(scored, values, 0.0), scored)


def positive_pixels(parts: Mapping[str, np.ndarray], flips: Mapping[str, bool]) -> np.ndarray:
    """The union (H, W) of the masks of those concepts whose intervention flips this classifier on this image.

    parts: {concept: mask (H, W)} of what is visible; flips: {concept: flipped}. A concept without a part of its own in
    the image adds no pixel.
    """
    shape = next(iter(parts.values())).shape
    chosen = [np.asarray(mask, bool) for concept, mask in parts.items() if flips.get(concept, False)]
    return np.logical_or.reduce([np.zeros(shape, bool), *chosen])


def truth_mass(maps: np.ndarray, positives: np.ndarray) -> Scored:
    """Share of a map's positive mass that lies on positive pixels: the sum of what is above 0 there, of that anywhere.

    maps: (N, h, w), any resolution; values below 0 speak against the decision and have no mass. positives: (N, H, W)
    bool. Images without both kinds of pixel are not scored, nor are maps without mass.
    A map of one value above 0 everywhere has the share of positive pixels.
    """
    found = score_each(maps, positives, mass_inside)
    known = found.scored & ~np.isnan(found.values)
    return Scored(np.where(known, found.values, 0.0), known)


def mass_inside(map: np.ndarray, truth: np.ndarray) -> float:
    """Share of the positive mass of a map (H, W) inside the truth (H, W); not a number where there is no mass."""
    mass = np.maximum(map.astype(np.float64), 0)
    return float(mass[truth].sum() / mass.sum()) if mass.any() else np.nan


def truth_auroc(maps: np.ndarray, positives: np.ndarray) -> Scored:
    """Chance that a positive pixel lies higher in its map than a negative one, ties as halves (area under the ROC).

    maps: (N, h, w), any resolution; positives: (N, H, W) bool. Images without both kinds of pixel are not scored.
    """
    from sklearn.metrics import roc_auc_score

    return score_each(maps, positives, lambda map, truth: roc_auc_score(truth.ravel(), map.ravel()))


def truth_average_precision(maps: np.ndarray, positives: np.ndarray) -> Scored:
    """Precision averaged over the positive pixels, from the top of the map (as scikit-learn computes it).

    maps: (N, h, w), any resolution; positives: (N, H, W) bool. Images without both kinds of pixel are not scored.
    A map of one value everywhere has the share of positive pixels.
    """
    from sklearn.metrics import average_precision_score

    return score_each(maps, positives, lambda map, truth: average_precision_score(truth.ravel(), map.ravel()))


def pointing_game(maps: np.ndarray, positives: np.ndarray) -> Scored:
    """Whether the highest pixel of the map is positive; of several highest, the share that is.

    Zhang et al. 2018, without their tolerance of 15 pixels, which would span a part of a small image.
    maps: (N, h, w), any resolution; positives: (N, H, W) bool. Images without both kinds of pixel are not scored.
    """
    return score_each(maps, positives, lambda map, truth: truth[map == map.max()].mean())


def part_coverage(maps: np.ndarray, parts: np.ndarray) -> Scored:
    """How strongly each map marks a part of its image: its mean over the part, scaled so that the map runs 0 to 1.

    maps: (N, h, w), any resolution; parts: (N, H, W) bool. Images that do not show the part are not scored; a map of
    one value everywhere marks nothing.
    """
    parts = np.asarray(parts, bool)
    shown = parts.any((1, 2))
    values = [
        scaled(at_size(map, part.shape))[part].mean() if able else 0.0
        for map, part, able in zip(maps, parts, shown, strict=True)
    ]
    return Scored(np.array(values, np.float64), shown)


def scaled(map: np.ndarray) -> np.ndarray:
    """A map in float64, from 0 at its lowest pixel to 1 at its highest; 0 where all are equal."""
    map = np.asarray(map, np.float64)
    return (map - map.min()) / (np.ptp(map) or 1.0)


def score_each(maps: np.ndarray, positives: np.ndarray, score: Callable[[np.ndarray, np.ndarray], float]) -> Scored:
    """Score (map (H, W), positive pixels (H, W)) -> number for each image that has positive and negative pixels."""
    positives = np.asarray(positives, bool)
    scored = positives.any((1, 2)) & ~positives.all((1, 2))
    values = [
        float(score(at_size(map, truth.shape), truth)) if able else 0.0
        for map, truth, able in zip(maps, positives, scored, strict=True)
    ]
    return Scored(np.array(values, np.float64), scored)


def at_size(map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One map (h, w), in float32, at `size` (H, W), by bilinear resizing; as it is if it has that size."""
    map = np.asarray(map, np.float32)
    if map.shape == tuple(size):
        return map
    import torch

    from pipeline.classifiers.resize import resize

    return resize(torch.from_numpy(np.array(map))[None, None], tuple(size))[0, 0].numpy()
