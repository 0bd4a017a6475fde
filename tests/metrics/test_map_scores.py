import numpy as np

from pipeline.metrics.map_scores import NO_FLIP, NO_MASS, against_truth
from pipeline.metrics.truth_maps import Scored


def test_a_map_without_mass_is_told_from_an_image_that_nothing_flips():
    positives = np.array([[[1, 0]], [[1, 0]], [[0, 0]]], bool)
    maps = np.array([[[3.0, 1.0]], [[-1.0, 0.0]], [[1.0, 1.0]]])
    filled = Scored(np.zeros(3), np.ones(3, bool))
    found = {each.metric: each for each in against_truth(maps, positives, filled)}
    _, scored, reasons, _ = found["truth_mass"]
    assert scored.values.tolist() == [0.75, 0, 0] and scored.scored.tolist() == [True, False, False]
    assert reasons[1:].tolist() == [NO_MASS, NO_FLIP]
    assert found["pointing_game"].values.scored.tolist() == [True, True, False]
