import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.random_map import explain
from pipeline.noise import Noise

NOISE = Noise(1, [f"image-{index}" for index in range(5)], "random-map")
IMAGES, TARGETS = torch.zeros(5, 3, 16, 24), torch.zeros(5, dtype=torch.int64)
NO_CLASSIFIER = None  # a random map asks nobody


def test_the_noise_is_uniform_at_the_size_of_the_image_and_costs_nothing():
    maps = explain(NO_CLASSIFIER, IMAGES, TARGETS, noise=NOISE)
    assert maps.map.shape == (5, 16, 24) and maps.map.dtype == torch.float32
    assert 0 < maps.map.min() < 0.05 and 0.95 < maps.map.max() < 1
    assert abs(maps.map.mean() - 0.5) < 0.03
    assert maps.network_evaluations.tolist() == [0] * 5


def test_smooth_maps_have_neighbours_alike_and_the_same_mean():
    rough = explain(NO_CLASSIFIER, IMAGES, TARGETS, noise=NOISE).map
    smooth = explain(NO_CLASSIFIER, IMAGES, TARGETS, noise=NOISE, smooth=0.1).map

    def alike(maps):
        return torch.corrcoef(torch.stack([maps[:, :, 1:].flatten(), maps[:, :, :-1].flatten()]))[0, 1]

    assert alike(rough) < 0.1 and alike(smooth) > 0.7
    assert abs(smooth.mean() - rough.mean()) < 0.02


def test_a_share_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"such as 0\.1"):
        explain(NO_CLASSIFIER, IMAGES, TARGETS, noise=NOISE, smooth=5)
