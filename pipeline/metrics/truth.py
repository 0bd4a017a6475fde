"""The truth: what a classifier depends on, found by changing one concept at a time and nothing else."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Effect:
    """What changing one concept of one image does to a classifier.

    flips: whether some other value of the concept changes the decision.
    effect: largest change, over the other values, of the probability of the class decided at first, in [0, 1].
    """

    flips: bool
    effect: float


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = np.exp(np.asarray(logits, np.float64) - np.max(logits, -1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def intervention_effect(before: np.ndarray, after: np.ndarray) -> Effect:
    """Effect of a concept from logits before (K,) and after (V, K), one row per other value of the concept."""
    decided = int(np.argmax(before))
    change = probabilities(after)[:, decided] - probabilities(before)[decided]
    return Effect(bool((np.argmax(after, 1) != decided).any()), float(np.abs(change).max()))


def causal_effects(absent: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Change (K,) of each class probability when a two-valued concept goes from absent to present, for one image.

    absent, present: logits (K,) of the image with the concept set to its first and second value. Averaged over images
    this is the average causal effect (Pearl 2009, definition 3.3.1 with do(absent) as the reference).
    """
    return probabilities(present) - probabilities(absent)
