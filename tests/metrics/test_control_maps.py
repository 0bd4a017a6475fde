import numpy as np
import pytest

from pipeline.metrics.control_maps import (
    CENTRED,
    OTHER,
    RANDOM,
    WIDTH,
    centred_maps,
    contenders,
    other_images,
    random_maps,
)
from pipeline.noise import Noise


def test_centred_maps_are_highest_in_the_middle_the_same_for_all_images_and_symmetrical():
    maps = centred_maps(2, (4, 8))
    assert maps.shape == (2, 4, 8) and (maps[0] == maps[1]).all()
    assert (maps[0] == maps[0, ::-1]).all() and (maps[0] == maps[0, :, ::-1]).all()
    # The pixel above the middle is an eighth of the height away, that beside it a sixteenth of the width.
    assert maps.max() == pytest.approx(np.exp(-(1 / 8**2 + 1 / 16**2) / (2 * WIDTH**2)))


def test_random_maps_depend_on_the_image_alone():
    together = random_maps(Noise(1, ["a", "b"], "test"), (3, 2))
    assert together.shape == (2, 3, 2) and (together[0] != together[1]).any()
    assert (random_maps(Noise(1, ["b"], "test"), (3, 2))[0] == together[1]).all()


def test_the_other_image_is_the_next_by_id_whatever_the_order():
    assert other_images(["a", "b", "c"]).tolist() == [1, 2, 0]
    assert other_images(["c", "a", "b"]).tolist() == [1, 2, 0]


def test_the_next_image_by_id_lends_its_map_and_alone_there_is_none():
    made = [("fido", np.array([2.0, 1.0, 3.0]).reshape(3, 1, 1))]
    found = contenders(made, ["b", "a", "c"], None, (1, 1), 1)
    drawn = {(method, control): maps.ravel().tolist() for method, control, maps in found}
    assert drawn["fido", None] == [2, 1, 3] and drawn["fido", OTHER] == [3, 2, 1]
    alone = contenders([("fido", np.ones((1, 1, 1)))], ["a"], None, (1, 1), 1)
    assert [control for _, control, _ in alone] == [None, RANDOM, CENTRED]
