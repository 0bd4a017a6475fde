"""Random views, against maps that are known."""

import math

import pytest
import torch

from pipeline.explain.views import CORNERS, NUMBERS, draw_views, grid, homographies, seen, to_square
from pipeline.noise import Noise

STILL = torch.cat([torch.tensor([0.0, 0.0, 0.5, 0.5, 0.5]), torch.zeros(8)]).double()


def picture(height=12, width=12):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(2))


def view_of(numbers, images):
    maps = homographies(numbers[None], images.shape[-1] / images.shape[-2]).to(images)
    return seen(images, grid(maps, *images.shape[-2:]))


def test_no_turn_and_no_moved_corner_show_the_image_itself():
    assert torch.allclose(view_of(STILL, picture(12, 20)), picture(12, 20), atol=1e-5)
    unlikely = STILL.clone()
    unlikely[:2], unlikely[2:] = 0.71, 1.0  # decided against both, whatever else was drawn
    assert torch.allclose(view_of(unlikely, picture()), picture(), atol=1e-5)


def test_a_shift_is_one_of_pixels():
    numbers = STILL.clone()
    numbers[3] = 0.5 + 0.5 / 1.2 / 2 * 2  # a twelfth of the side, when the largest is a tenth
    images = picture()
    assert torch.allclose(view_of(numbers, images)[..., :-1], images[..., 1:], atol=1e-5)
    assert torch.allclose(view_of(numbers, images)[..., -1], images[..., -1], atol=1e-5)


def test_a_turn_keeps_lengths_in_pixels():
    numbers = STILL.clone()
    numbers[2] = 1.0
    across, down = (homographies(numbers, 2.0) @ torch.tensor(end).double() for end in ([1, 0, 1.0], [0, 1, 1.0]))
    pixels = torch.tensor([2.0, 1.0]).double()  # of half the width and half the height
    assert torch.linalg.vector_norm(across[:2] * pixels).item() == pytest.approx(2)
    assert torch.linalg.vector_norm(down[:2] * pixels).item() == pytest.approx(1)
    assert math.degrees(math.atan2(across[1], across[0] * 2)) == pytest.approx(15)


def test_the_moved_corners_show_the_corners_of_the_image():
    corners = CORNERS * (1 - 0.7 * torch.rand(50, 4, 2, dtype=torch.float64))
    found = to_square(corners) @ torch.cat([corners, torch.ones(50, 4, 1)], dim=-1).transpose(1, 2)
    assert torch.allclose((found[:, :2] / found[:, 2:]).transpose(1, 2), CORNERS.expand(50, 4, 2), atol=1e-6)


def test_every_image_has_views_of_its_own_that_depend_on_nothing_else():
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    noise = Noise(1, ["a", "b", "c"], "test")
    views = draw_views(noise, 4, 6, images)
    assert views[0] is None and len(views) == 6 and all(view.shape == (3, 8, 8, 2) for view in views[1:])
    assert all(view.isfinite().all() for view in views[1:])
    turned = draw_views(noise.select([2, 0, 1]), 4, 6, images)
    assert all(
        torch.allclose(one, other[[2, 0, 1]], atol=1e-5) for one, other in zip(turned[1:], views[1:], strict=True)
    )
    alone = draw_views(noise.select([1]), 4, 6, images[:1])
    assert all(torch.allclose(one[0], other[1], atol=1e-5) for one, other in zip(alone[1:], views[1:], strict=True))
    assert not torch.equal(views[1][0], views[1][1]) and not torch.equal(views[1], views[2])
    assert not torch.equal(draw_views(noise, 5, 6, images)[1], views[1])
    assert draw_views(noise, 4, 1, images) == [None]


def test_views_are_finite_and_differentiable_at_every_draw():
    drawn = torch.rand(2000, NUMBERS, generator=torch.Generator().manual_seed(7)).double()
    drawn[:, :2] = 0
    drawn[:1000, 5:] = drawn[:1000, 5:].round()  # corners as far in as they go
    images = torch.rand(1, 3, 8, 8).expand(2000, -1, -1, -1).clone().requires_grad_()
    shown = seen(images, grid(homographies(drawn, 1.0).float(), 8, 8))
    shown.sum().backward()
    assert shown.isfinite().all() and images.grad.isfinite().all()
    assert shown.min() >= 0 and shown.max() <= 1 + 1e-5


def test_what_lies_behind_the_horizon_is_not_mirrored_into_the_view():
    tilted = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [2.0, 0.0, 1.0]]])  # beyond x = -0.5
    found = grid(tilted, 8, 8)
    assert (found[0, :, :2, 0] < -1).all() and (found[0, :, 4:, 0] > 0).all()
