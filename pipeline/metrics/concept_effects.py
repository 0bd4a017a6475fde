"""What a direction changes, in concepts: how far a reader sees each of them move along it."""

import numpy as np
from scipy.special import logsumexp


def log_odds(logits: np.ndarray) -> np.ndarray:
    """Of each value against all others, (N, K), from logits (N, K)."""
    columns = range(logits.shape[1])
    return np.stack([logits[:, k] - logsumexp(np.delete(logits, k, 1), axis=1) for k in columns], axis=1)


def concept_effects(before: np.ndarray, after: np.ndarray, signs: np.ndarray, everywhere: np.ndarray) -> np.ndarray:
    """How far a concept moves along a direction on each image (N,), in standard deviations of what a reader says of it.

    before, after: logits (N, K) of the reader on images and on what they were led to. signs: (N,) 1 for images led
    along the direction, -1 for those led the other way, for which a change counts the other way. everywhere: (M, K)
    logits on all images, which tell the deviation of log-odds. Of a concept with two values the log-odds of the second;
    of more, of the value that moves furthest on average.
    """
    deviation = log_odds(everywhere).std(0, ddof=1)
    moved = signs[:, None] * (log_odds(after) - log_odds(before)) / np.where(deviation > 0, deviation, 1)
    value = 1 if moved.shape[1] == 2 else int(np.abs(moved.mean(0)).argmax())
    return moved[:, value]


def effect_correlation(effects: np.ndarray, causal: np.ndarray) -> float:
    """Pearson's correlation over concepts (C,) between how far they move and what changing them does to the classifier.

    NaN for fewer than three concepts, or where either is the same for all.
    """
    if len(effects) < 3 or np.ptp(effects) == 0 or np.ptp(causal) == 0:
        return float("nan")
    return float(np.corrcoef(np.abs(effects), causal)[0, 1])
