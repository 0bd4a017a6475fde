"""Grids spread over pixels against torch's own interpolation, and sums over pixels taken on the grid."""

from functools import partial

import pytest
import torch

from pipeline.explain.upsampling import bilinear, nearest

SHAPES = [((4, 4), (16, 16)), ((5, 3), (16, 9)), ((56, 56), (224, 224)), ((6, 6), (6, 6)), ((1, 1), (5, 5))]


def grid_of(shape):
    return torch.rand(3, *shape, generator=torch.Generator().manual_seed(4))


@pytest.mark.parametrize(("grid", "pixels"), SHAPES)
@pytest.mark.parametrize(
    ("upsample", "mode"),
    [
        (bilinear, {"mode": "bilinear", "align_corners": False}),
        (partial(bilinear, align_corners=True), {"mode": "bilinear", "align_corners": True}),
        (nearest, {}),
    ],
)
def test_grids_are_spread_as_torch_does(upsample, mode, grid, pixels):
    values = grid_of(grid)
    expected = torch.nn.functional.interpolate(values[:, None], size=pixels, **mode)[:, 0]
    assert torch.allclose(upsample(grid, pixels, like=values)(values), expected, atol=1e-6)


@pytest.mark.parametrize(("grid", "pixels"), SHAPES)
def test_sums_on_the_grid_are_sums_over_pixels(grid, pixels):
    values, upsampling = grid_of(grid).double(), bilinear(grid, pixels, like=torch.zeros(1, dtype=torch.float64))
    spread = upsampling(values)
    assert torch.allclose((upsampling.area * values).sum(dim=(1, 2)), spread.sum(dim=(1, 2)), rtol=1e-6)
    variation = spread.diff(dim=1).square().sum(dim=(1, 2)) + spread.diff(dim=2).square().sum(dim=(1, 2))
    assert torch.allclose(upsampling.total_variation(values), variation, atol=1e-6)


def test_two_cells_over_four_pixels_with_their_centres_or_their_edges_in_the_corners():
    values, like = torch.tensor([[0.0, 12.0]]), torch.zeros(1)
    edges, centres = (bilinear((1, 2), (1, 4), like, aligned) for aligned in (False, True))
    assert edges(values).tolist() == [[0, 3, 9, 12]]
    assert centres(values)[0].tolist() == pytest.approx([0, 4, 8, 12])
    assert bilinear((1, 3), (1, 5), like, align_corners=True).area[0].tolist() == pytest.approx([1.5, 2, 1.5])


def test_a_grid_as_fine_as_the_image_is_told():
    assert bilinear((6, 6), (6, 6), like=torch.zeros(1)).is_identity
    assert not bilinear((6, 3), (6, 6), like=torch.zeros(1)).is_identity
