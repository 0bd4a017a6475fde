import math

import pytest
import torch

from pipeline.metrics.closeness import (
    batch_distance,
    distance,
    from_published_units,
    in_published_units,
    pooled_distance,
    sparsity,
)

GENERATOR = torch.Generator().manual_seed(3)
IMAGES = torch.rand(5, 3, 8, 6, generator=GENERATOR)
COUNTERFACTUALS = torch.rand(5, 3, 8, 6, generator=GENERATOR)
ORDERS = pytest.mark.parametrize("order", [1, 1.5, 2])


def changed(*values):
    """One black image (1, 1, 1, N), and the same with these values."""
    after = torch.tensor(values).view(1, 1, 1, -1)
    return after, torch.zeros_like(after)


def test_distances_by_hand():
    pair = changed(0.3, 0.0, 0.0, 0.4)
    assert distance(*pair, 1).tolist() == pytest.approx([0.7 / 4])
    assert distance(*pair, 2).tolist() == pytest.approx([0.25])  # root of (0.09 + 0.16) / 4
    assert distance(*pair, 1.5).tolist() == pytest.approx([((0.3**1.5 + 0.4**1.5) / 4) ** (2 / 3)])
    assert distance(*pair, math.inf).tolist() == pytest.approx([0.4])


def test_values_outside_an_image_count_as_its_ends():
    assert distance(*changed(1.5, -3.0), 1).tolist() == [0.5]


@ORDERS
def test_one_constant_change_is_the_distance_at_any_size_and_order(order):
    images = torch.full((2, 3, 16, 4), 0.25)
    assert distance(images + 0.125, images, order).tolist() == pytest.approx([0.125, 0.125])


@ORDERS
def test_an_image_has_the_distance_that_it_has_alone(order):
    alone = [float(distance(COUNTERFACTUALS[row : row + 1], IMAGES[row : row + 1], order)) for row in range(5)]
    assert distance(COUNTERFACTUALS, IMAGES, order).tolist() == alone


@ORDERS
def test_the_published_norm_is_the_pooled_distance_in_other_units(order):
    published = batch_distance(COUNTERFACTUALS, IMAGES, order)
    reference = torch.linalg.vector_norm((2 * COUNTERFACTUALS - 1).double() - (2 * IMAGES - 1).double(), order)
    pooled = pooled_distance(distance(COUNTERFACTUALS, IMAGES, order), order)
    assert published == pytest.approx(float(reference), rel=1e-6)
    assert in_published_units(pooled, order, 5, 3 * 8 * 6) == pytest.approx(published)
    assert from_published_units(published, order, 5, 3 * 8 * 6) == pytest.approx(pooled)


def test_published_figures_in_units_of_an_image():
    values = 3 * 256 * 256
    assert from_published_units(1.49e6, 1, 50, values) == pytest.approx(0.0758, abs=1e-4)
    assert from_published_units(766, 2, 50, values) == pytest.approx(0.122, abs=1e-3)


def test_sparsity_counts_pixels_that_change_by_more_than_a_step_of_eight_bits():
    images = torch.zeros(2, 3, 2, 2)
    after = images.clone()
    after[0, :, 0, 0] = 2 / 255
    after[0, :, 0, 1] = 1 / 255
    after[0, 0, 1, 0] = 1.0
    assert sparsity(after, images).tolist() == [0.5, 0]


def test_other_shapes_and_orders_are_refused():
    with pytest.raises(ValueError, match="same shapes"):
        distance(IMAGES[:1], IMAGES, 1)
    with pytest.raises(ValueError, match=r"order is 0\.5"):
        distance(IMAGES, IMAGES, 0.5)
