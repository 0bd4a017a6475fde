"""The cone projection, against geometry."""

import math

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.cone import PROJECTIONS, norm, project, unit


def pair(between: float, size=(3, 8, 8), lengths=(5.0, 0.2)):
    """A target and a robust gradient (1, *size) with that angle in degrees between them."""
    generator = torch.Generator().manual_seed(1)
    axis, other = (torch.randn(1, *size, generator=generator, dtype=torch.float64) for _ in range(2))
    axis = unit(axis)
    across = unit(other - (axis * other).sum() * axis)
    robust = math.cos(math.radians(between)) * axis + math.sin(math.radians(between)) * across
    return (lengths[0] * axis).float(), (lengths[1] * robust).float()


def angle_between(one, other):
    cosine = (unit(one.double()) * unit(other.double())).flatten(1).sum(1).clamp(-1, 1)
    return math.degrees(torch.acos(cosine).item())


@pytest.mark.parametrize("angle", [10.0, 30.0, 55.0])
@pytest.mark.parametrize("between", [60.0, 89.0, 95.0, 119.0, 150.0])
def test_outside_the_cone_the_published_result_lies_on_its_boundary(between, angle):
    target, robust = pair(between)
    assert angle_between(target, project(target, robust, angle)) == pytest.approx(angle, abs=1e-3)


@pytest.mark.parametrize("between", [40.0, 70.0, 100.0, 119.0])
def test_outside_the_cone_both_results_point_the_same_way_until_the_exact_one_is_zero(between):
    target, robust = pair(between)
    exact = project(target, robust, 30.0, "exact")
    assert torch.allclose(unit(exact), project(target, robust, 30.0), atol=1e-5)
    assert norm(exact).item() == pytest.approx(0.2 * math.cos(math.radians(between - 30)), rel=1e-4)


@pytest.mark.parametrize("between", [121.0, 150.0])
def test_90_degrees_beyond_the_cone_the_exact_projection_is_zero_and_the_published_one_is_not(between):
    target, robust = pair(between)
    assert project(target, robust, 30.0, "exact").count_nonzero() == 0
    assert norm(project(target, robust, 30.0)).item() == pytest.approx(1, abs=1e-5)


def test_inside_the_cone_the_published_result_is_the_target_and_the_exact_one_the_robust_gradient():
    target, robust = pair(20.0)
    assert torch.allclose(project(target, robust, 30.0), unit(target))
    assert torch.equal(project(target, robust, 30.0, "exact"), robust)


def test_the_exact_projection_is_the_closest_point_of_the_cone():
    target, robust = pair(75.0, size=(3,))
    found = project(target, robust, 30.0, "exact")
    directions = torch.randn(200_000, 3, generator=torch.Generator().manual_seed(2))
    inside = directions[(unit(directions) @ unit(target)[0]) >= math.cos(math.radians(30))]
    lengths = (unit(inside) @ robust[0]).clamp_min(0)[:, None]  # the closest point of each ray
    closest = torch.linalg.vector_norm(unit(inside) * lengths - robust, dim=1).min()
    assert norm(found - robust).item() <= closest.item() + 1e-6
    assert norm(found - robust).item() == pytest.approx(closest.item(), rel=1e-2)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_a_robust_gradient_parallel_to_the_target_changes_nothing(projection):
    target, _ = pair(50.0, size=(3, 64, 64))
    for angle in (0.0, 1e-3, 30.0, 90.0):
        assert torch.allclose(unit(project(target, 7 * target, angle, projection)), unit(target), atol=1e-5)
    for angle in (30.0, 89.0):
        opposite = project(target, -7 * target, angle, projection)
        expected = unit(target) if projection == "published" else torch.zeros_like(target)
        assert torch.allclose(opposite, expected, atol=1e-6)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_zero_gradients_give_finite_results(projection):
    target, robust = pair(80.0)
    nothing = torch.zeros_like(target)
    assert project(nothing, robust, 30.0, projection).count_nonzero() == 0
    assert project(nothing, nothing, 30.0, projection).count_nonzero() == 0
    expected = unit(target) if projection == "published" else nothing
    assert torch.allclose(project(target, nothing, 30.0, projection), expected)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_images_are_projected_each_by_itself_and_inputs_stay_as_they_are(projection):
    pairs = [pair(between) for between in (10.0, 50.0, 100.0, 170.0)]
    target, robust = (torch.cat(side) for side in zip(*pairs, strict=True))
    copies = target.clone(), robust.clone()
    together = project(target, robust, 30.0, projection)
    assert torch.equal(target, copies[0]) and torch.equal(robust, copies[1])
    for row, (its_target, its_robust) in enumerate(pairs):
        alone = project(its_target, its_robust, 30.0, projection)
        assert torch.allclose(together[row], alone[0], atol=1e-6)


@pytest.mark.parametrize("scale", [1e-42, 1e-30, 1e-3, 1e30])
def test_a_direction_is_the_same_at_every_length(scale):
    target, robust = pair(70.0)
    assert torch.allclose(unit(target * scale), unit(target), rtol=0.02, atol=1e-3)
    assert torch.allclose(project(target * scale, robust * scale, 30.0), project(target, robust, 30.0), atol=2e-2)
    assert norm(unit(target * scale)).item() == pytest.approx(1, abs=1e-5)


def test_wrong_words_and_angles_are_refused():
    target, robust = pair(50.0)
    with pytest.raises(UserError, match="projection is 'precise'; use "):
        project(target, robust, 30.0, "precise")
    with pytest.raises(UserError, match="the angle of the cone is 95; use 0 to 90 degrees, such as 30"):
        project(target, robust, 95)
