"""Counterfactuals against the truth: do they change the concepts whose change flips the classifier, and only those?

An intervention renders the scene again with one concept changed; where that flips the decision, the classifier depends
on the concept on this image. A reader of concepts, trained with neither the classifier nor the generator, says which
concepts a counterfactual changed. Its own errors count as changes: compare with the control of an unchanged image.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.metrics.truth_maps import Scored, among


def changed_concepts(
    before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray], concepts: Sequence[str]
) -> np.ndarray:
    """Which of the C concepts a reader decides differently, (N, C) bool.

    before, after: {concept: logits (N, K)} of the same reader on images and on their counterfactuals.
    """
    return np.stack([np.argmax(before[name], 1) != np.argmax(after[name], 1) for name in concepts], axis=1)


def truth_precision(changed: np.ndarray, flips: np.ndarray) -> Scored:
    """The share (N,) of the changed concepts that flip the classifier on this image; higher is better.

    changed, flips: (N, C) bool, the columns being the same concepts. flips: whether an intervention on the concept
    flips it, to the target where there are several classes. Images where no concept flips the classifier, or where the
    counterfactual changes none, are not scored.
    """
    changed, flips = as_bools(changed, flips)
    return share_of(changed & flips, changed, flips.any(1))


def truth_recall(changed: np.ndarray, flips: np.ndarray) -> Scored:
    """The share (N,) of the concepts that flip the classifier on this image that were changed; higher is better.

    One of them is enough to flip it, so a sparse counterfactual need not reach 1. Images where no concept flips the
    classifier are not scored; one whose counterfactual changes none has 0, or failing to change anything would pay.
    """
    changed, flips = as_bools(changed, flips)
    return share_of(changed & flips, flips, flips.any(1))


def side_effects(changed: np.ndarray, flips: np.ndarray) -> Scored:
    """How many concepts (N,) were changed whose change flips nothing on this image; lower is better.

    Images where no concept flips the classifier are not scored, so that it is about the same images as `truth_recall`.
    """
    changed, flips = as_bools(changed, flips)
    scored = flips.any(1)
    return Scored(np.where(scored, (changed & ~flips).sum(1), 0).astype(np.float64), scored)


def changes_any(changed: np.ndarray, which: np.ndarray, wanted: np.ndarray) -> Scored:
    """1 where any of the concepts `which` (N, C) was changed, else 0, for the wanted images (N,) alone.

    With the concepts that flip the classifier, and with the others, the means over valid counterfactuals say how many
    change a cause, and how many something else.
    """
    changed, which = as_bools(changed, which)
    wanted = np.asarray(wanted, bool)
    return Scored(np.where(wanted, (changed & which).any(1), 0).astype(np.float64), wanted)


def kinds_of_flips(changed: np.ndarray, flips: np.ndarray, wanted: np.ndarray) -> dict[str, Scored]:
    """Whether each wanted counterfactual (N,) is causal, trivial or collateral: one of the three is 1, the others 0.

    changed, flips: (N, C). Causal: it changes a concept that flips the classifier on this image. Trivial: it changes no
    concept, as an adversarial example does. Collateral: it changes concepts, but none of those that flip.
    """
    changed, flips = as_bools(changed, flips)
    causal = (changed & flips).any(1)
    kinds = {"causal": causal, "trivial": ~changed.any(1), "collateral": changed.any(1) & ~causal}
    return {kind: among(found.astype(np.float64), np.asarray(wanted, bool)) for kind, found in kinds.items()}


def share_of(part: np.ndarray, whole: np.ndarray, wanted: np.ndarray) -> Scored:
    """part / whole, counted over the columns (N, C), for the wanted images (N,) whose whole is not empty."""
    scored = wanted & whole.any(1)
    return Scored(np.where(scored, part.sum(1) / np.maximum(whole.sum(1), 1), 0.0), scored)


def as_bools(changed: np.ndarray, flips: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as bool (N, C); ValueError if they are not about the same images and concepts."""
    changed, flips = np.asarray(changed, bool), np.asarray(flips, bool)
    if changed.shape != flips.shape or changed.ndim != 2:
        raise ValueError(f"changed {changed.shape} and flips {flips.shape}; give (images, concepts) for both")
    return changed, flips
