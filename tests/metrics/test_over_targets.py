import numpy as np
import pytest

from pipeline.metrics.over_targets import averaged


def test_distances_of_several_pairs_are_averaged_by_their_images_with_the_interval_of_independent_errors():
    features = np.zeros((6, 1))
    sets = [(features, features[:2]), (features, features)]
    found, reason = averaged(sets, lambda first, second: (float(len(second)), len(second) - 1.0, len(second) + 1.0))
    reach = np.hypot(2 / 8, 6 / 8)
    assert (found.value, found.n, reason) == (5.0, 8, None)
    assert (found.low, found.high) == pytest.approx((5 - reach, 5 + reach))
    none, reason = averaged([*sets, (features, features[:1])], lambda first, second: (0.0, None, None))
    assert none is None and "needs two images on each side" in reason
