"""Validity: does the classifier, and do others that judge the same task, take the counterfactual for its target?

Each function gives one value per image, so that the mean over images is the published number: target accuracy (the
flip rate), original accuracy, the confidences, and the two oracle scores of Vaeth et al. 2023 (after Hvilshoj et al.
2021), and BKL of Jeanneret et al. 2022. Their published and their corrected definitions are the same.
"""

import numpy as np

from pipeline.metrics.truth import probabilities


def target_accuracy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 where the classifier decides for the target (N,) by its logits (N, K) of the counterfactual, else 0."""
    return (decided(logits) == of_images(targets, logits)).astype(np.float64)


def original_accuracy(logits: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """1 where the classifier still decides for the label (N,) of the source by its logits (N, K), else 0."""
    return target_accuracy(logits, originals)


def left_class(logits: np.ndarray, source_logits: np.ndarray) -> np.ndarray:
    """1 where the decision is another than on the source image, whichever it is, else 0: the untargeted flip.

    logits, source_logits: (N, K) of the same classifier for the counterfactual and for its source.
    """
    return 1 - oracle_score(logits, source_logits)


def target_confidence(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The probability, in [0, 1], that the classifier gives to the target (N,) by its logits (N, K)."""
    return np.take_along_axis(probabilities(logits), of_images(targets, logits)[:, None], 1)[:, 0]


def original_confidence(logits: np.ndarray, originals: np.ndarray) -> np.ndarray:
    """The probability, in [0, 1], that the classifier gives to the label (N,) of the source by its logits (N, K)."""
    return target_confidence(logits, originals)


def confidence_gap(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 - the probability of the target: what Jeanneret et al. 2022 call BKL (it is no Kullback-Leibler divergence)."""
    return 1 - target_confidence(logits, targets)


def oracle_score(oracle_logits: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """1 where an oracle decides for the same class as the classifier, both seeing the counterfactual, else 0.

    oracle_logits, logits: (N, K). The two must have the same classes in the same order.
    """
    if np.shape(oracle_logits) != np.shape(logits):
        raise ValueError(f"logits {np.shape(oracle_logits)} and {np.shape(logits)}; give the same images and classes")
    return (decided(oracle_logits) == decided(logits)).astype(np.float64)


def oracle_target_accuracy(oracle_logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 where the oracle decides for the target (N,) by its logits (N, K) of the counterfactual, else 0."""
    return target_accuracy(oracle_logits, targets)


def decided(logits: np.ndarray) -> np.ndarray:
    """The class (N,) with the largest logit of (N, K); the first of equal ones."""
    return np.argmax(logits, axis=1)


def of_images(classes: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The classes as an array, if there is one for each row of the logits."""
    classes = np.asarray(classes)
    if classes.shape != (len(logits),):
        raise ValueError(f"classes {classes.shape} for logits {np.shape(logits)}; give one class for each image")
    return classes
