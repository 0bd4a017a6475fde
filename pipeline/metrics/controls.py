"""Controls: what the metrics of counterfactuals say where nothing was explained.

The unchanged image is one: it is closest, most realistic against its own source, and flips nothing. The nearest real
image of the target class is the other: it is realistic and decided for the target, and keeps of its source nothing
that the class does not share.
"""

import numpy as np

from pipeline.errors import UserError

UNCHANGED, NEAREST_REAL = "unchanged", "nearest-real"
"""What the controls are called in the tables, as if they were methods."""


def nearest_real(
    features: np.ndarray, real_features: np.ndarray, real_classes: np.ndarray, targets: np.ndarray
) -> np.ndarray:
    """Which real image (N,) of the target class is closest, by Euclidean distance of features; the first of equal ones.

    features: (N, D) of the images. real_features: (M, D); real_classes: (M,), best the classifier's decisions on them,
    so that each control flips it. targets: (N,). Raises UserError where no real image is of a target class.
    """
    features, real_features = np.asarray(features, np.float64), np.asarray(real_features, np.float64)
    chosen = np.empty(len(features), np.int64)
    for row, target in enumerate(targets):
        candidates = np.flatnonzero(np.asarray(real_classes) == target)
        if not len(candidates):
            raise UserError(
                f"nearest real image: none of the {len(real_features)} images is of class {target}; add some"
            )
        apart = np.square(real_features[candidates] - features[row]).sum(1)
        chosen[row] = candidates[np.argmin(apart)]
    return chosen
