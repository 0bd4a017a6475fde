"""A distance of sets where counterfactuals have several targets: those of each are held against its real images."""

from collections.abc import Callable, Sequence

import numpy as np

from pipeline.metrics.statistics import Estimate

SMALLEST_SET = 2
TOO_FEW = "a distance of sets needs two images on each side, counterfactuals and real images of their target"

Compute = Callable[[np.ndarray, np.ndarray], tuple[float, float | None, float | None]]
"""A distance of two sets of features with the ends of its interval, if it has one."""


def averaged(sets: Sequence[Sequence[np.ndarray]], compute: Compute) -> tuple[Estimate | None, str | None]:
    """The mean of a distance over pairs of sets, weighted by the images of the second of each; or why there is none.

    Its interval is that of independent errors; none where one of the pairs has none.
    """
    if any(len(each) < SMALLEST_SET for pair in sets for each in pair):
        return None, TOO_FEW
    weights = np.array([len(made) for _, made in sets], float)
    found = [compute(*pair) for pair in sets]
    value = float(np.average([each[0] for each in found], weights=weights))
    number, low, high = int(weights.sum()), None, None
    if all(each[1] is not None for each in found):
        reaches = [(high - low) / 2 for _, low, high in found]
        reach = np.linalg.norm(reaches * weights / number)
        low, high = float(value - reach), float(value + reach)
    return Estimate(value, low, high, number), None
