"""Does an autoencoder give images back, and can the concepts of a world be read off its codes by a line?"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

LEAST_SIGNAL, LEAST_AUROC = 28.0, 0.98
BINARY = 2  # values of a concept


@dataclass(frozen=True)
class Probed:
    """A linear probe of a concept: its values, and the area under its ROC, None where the images show one value."""

    values: tuple[str, ...]
    auroc: float | None

    @property
    def demanded(self) -> bool:
        """Whether the gate asks anything of it."""
        return len(self.values) == BINARY and self.auroc is not None

    @property
    def passes(self) -> bool:
        return not self.demanded or self.auroc >= LEAST_AUROC


@dataclass(frozen=True)
class Autoencoding:
    """What is measured of a diffusion autoencoder.

    signal: (N,) in dB, see `signal_to_noise`, of N images encoded in so many steps and decoded in as many. concepts: by
    name, of probes fitted to the codes of `fitted` training images and asked of `tested` others; empty where the
    concepts are not known.
    """

    signal: Tensor
    steps: int
    concepts: Mapping[str, Probed]
    fitted: int
    tested: int

    @property
    def failing(self) -> list[str]:
        """What is not as the gate asks: the mean, and concepts by name."""
        low = ["the mean"] if float(self.signal.mean()) < LEAST_SIGNAL else []
        return [*low, *(name for name, probed in self.concepts.items() if not probed.passes)]


def signal_to_noise(images: Tensor, others: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (N,) in dB of images (N, C, H, W) in [0, 1]: 10 log10(1 / mean squared error)."""
    return -10 * (images - others).square().flatten(1).mean(1).log10()


def linear_auroc(codes: np.ndarray, values: np.ndarray, tested: np.ndarray, truth: np.ndarray) -> float | None:
    """Area under the ROC of a logistic regression on codes; of several values the mean of each against the rest.

    codes (N, L) and the value (N,) of each are what it is fitted to; tested (M, L) and truth (M,) what it is asked.
    Over the values that occur in both; None where that is one alone.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    shared = np.intersect1d(values, truth)
    if len(shared) < 2:
        return None
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(codes, values)
    said = dict(zip(probe.classes_, probe.predict_proba(tested).T, strict=True))
    return float(np.mean([roc_auc_score(truth == value, said[value]) for value in shared]))
