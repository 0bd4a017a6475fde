"""Attributes: what else does a reader of attributes see change?"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.metrics.truth import probabilities


def attributes_changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How many of the attributes an oracle decides differently on each counterfactual (N,); its mean is MNAC.

    before, after: decisions (N, A), of images and counterfactuals. As Jeanneret et al. 2022 count; lower is better.
    """
    before, after = same_shape(before, after)
    return (before != after).sum(1).astype(np.float64)


def correlation_difference(
    before: np.ndarray, after: np.ndarray, attribute: int, label_correlations: np.ndarray
) -> float:
    """How far attributes change together otherwise than the labels do: CD of Jeanneret et al. 2022, lower is better.

    before, after: decisions (N, A), 0 or 1, of images and counterfactuals. attribute: the column that was meant to
    change. label_correlations: (A,), of each attribute with that one over the labels of the training images.
    Returns the sum of |difference| of the correlations; where one of the two never changes, theirs counts as 0.
    """
    before, after = same_shape(before, after)
    change = after.astype(np.float64) - before.astype(np.float64)
    centred = change - change.mean(0)
    lengths = np.linalg.norm(centred, axis=0) * np.linalg.norm(centred[:, attribute])
    correlations = centred.T @ centred[:, attribute] / np.where(lengths > 0, lengths, 1.0)
    return float(np.abs(correlations - np.asarray(label_correlations, np.float64)).sum())


def label_correlations(labels: Sequence[Mapping[str, int | None]], task: str) -> dict[str, float]:
    """The correlation of each label with that of the task, over the images that have both; 0 where one never varies."""
    found = {}
    for concept in dict.fromkeys(name for row in labels for name in row):
        both = [(row[concept], row[task]) for row in labels if None not in (row.get(concept), row.get(task))]
        first, second = np.array(both, float).reshape(-1, 2).T
        varies = len(both) > 1 and first.std() > 0 and second.std() > 0
        found[concept] = float(np.corrcoef(first, second)[0, 1]) if varies else float(concept == task)
    return found


def label_variation(before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Jensen-Shannon divergence (N,), in bits and so in [0, 1], of what an oracle says of each attribute.

    before, after: {attribute: logits (N, K)} of images and counterfactuals. Their means over images follow the label
    variation score of Hvilshoj et al. 2021: high is wanted for the attribute to change, low for unrelated ones.
    """
    return {
        attribute: divergence(probabilities(before[attribute]), probabilities(after[attribute])) for attribute in before
    }


def divergence(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence (N,), in bits, of distributions (N, K)."""
    from scipy.special import rel_entr

    first, second = same_shape(first, second)
    middle = (first + second) / 2
    return (rel_entr(first, middle) + rel_entr(second, middle)).sum(1) / (2 * np.log(2))


def same_shape(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays; ValueError if they are not about the same images and attributes."""
    before, after = np.asarray(before), np.asarray(after)
    if before.shape != after.shape:
        raise ValueError(f"{before.shape} before and {after.shape} after; give the same images and attributes")
    return before, after
