"""Accusations: what each explanation says of each concept, on one scale per family, and whether it tells the truth.

Maps, counterfactual images, directions and importances become comparable where each gives every concept a number, and
an intervention says whether the concept truly flips the classifier.
"""

from collections.abc import Sequence

import numpy as np

from pipeline.metrics.truth import probabilities
from pipeline.metrics.truth_maps import Scored, among, at_size

LOWEST = -10.0  # log2 of a density; of maps with next to nothing, or nothing, in the part


def part_density(maps: np.ndarray, parts: np.ndarray) -> Scored:
    """How densely the positive mass of each map lies in a part: log2 of its share of the mass over that of the area.

    maps: (N, h, w), any resolution; values below 0 have no mass. parts: (N, H, W) bool. 0 is chance, 1 twice as dense
    as that; not below -10. Images that do not show the part, or show nothing else, and maps without mass are not
    scored.
    """
    parts = np.asarray(parts, bool)
    area = parts.mean((1, 2))
    mass = [np.maximum(at_size(map, part.shape).astype(np.float64), 0) for map, part in zip(maps, parts, strict=True)]
    total = np.array([each.sum() for each in mass])
    inside = np.array([each[part].sum() for each, part in zip(mass, parts, strict=True)])
    scored = (area > 0) & (area < 1) & (total > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.maximum(np.log2(inside / total / area), LOWEST)
    return among(density, scored)


def concept_change(before: np.ndarray, after: np.ndarray) -> Scored:
    """How much a reader's view of a concept changes: total variation (N,) of its probabilities, in [0, 1].

    before, after: its logits (N, K) of images and counterfactuals. Rows where it gave no answer (NaN) are not scored.
    """
    known = np.isfinite(before).all(1) & np.isfinite(after).all(1)
    variation = np.abs(probabilities(after) - probabilities(before)).sum(1) / 2
    return among(variation, known)


def label_association(concept: Sequence[int], labels: Sequence[int]) -> float:
    """How strongly a concept goes with the label in data: Cramer's V in [0, 1], 0 where one of the two never varies."""
    from scipy.stats import contingency

    table = contingency.crosstab(concept, labels).count
    return float(contingency.association(table, method="cramer")) if min(table.shape) > 1 else 0.0


def accusation_auroc(scores: np.ndarray, flips: np.ndarray) -> float:
    """Chance that a concept that flips the classifier is accused more than one that does not, ties as halves.

    scores: any shape, NaN where nothing is said; flips: bool, likewise. NaN where one of the two kinds is missing.
    """
    from scipy.stats import rankdata

    known = np.isfinite(scores)
    said, flip = scores[known], np.asarray(flips, bool)[known]
    positive, negative = int(flip.sum()), int((~flip).sum())
    if not positive or not negative:
        return np.nan
    ranks = rankdata(said)
    return float((ranks[flip].sum() - positive * (positive + 1) / 2) / (positive * negative))


def accusing_threshold(scores: np.ndarray, flips: np.ndarray) -> float:
    """The score above which a concept counts as accused, which separates those that flip from those that do not best.

    scores, flips: as in `accusation_auroc`. It maximises the share of the flipping that is above it minus the share of
    the others (Youden 1950), halfway to the next score; NaN where one of the two kinds is missing.
    """
    known = np.isfinite(scores)
    said, flip = scores[known], np.asarray(flips, bool)[known]
    if flip.all() or not flip.any():
        return np.nan
    values = np.unique(said)
    cuts = np.append((values[:-1] + values[1:]) / 2, values[-1])
    gains = [(said[flip] > cut).mean() - (said[~flip] > cut).mean() for cut in cuts]
    return float(cuts[int(np.argmax(gains))])
