import math

import numpy as np
import pytest

from pipeline.worlds.raster import (
    box,
    capsule,
    convex_polygon,
    coverage,
    curve,
    disc,
    ellipse,
    half_plane,
    paint,
    pixel_grid,
    to_uint8,
)

SIZE = 64
X, Y = pixel_grid(SIZE, SIZE)


def area(distance):
    return coverage(distance).sum()


@pytest.mark.parametrize(
    ("distance", "expected"),
    [
        (disc(X, Y, 31.3, 30.8, 12), math.pi * 12**2),
        (ellipse(X, Y, 31.3, 30.8, 20, 9), math.pi * 20 * 9),
        (ellipse(X, Y, 31.3, 30.8, 20, 9, angle=0.7), math.pi * 20 * 9),
        (box(X, Y, 31.3, 30.8, 14, 9), 28 * 18),
        (box(X, Y, 31.3, 30.8, 14, 9, angle=0.7), 28 * 18),
        (box(X, Y, 31.3, 30.8, 14, 9, corner=5), 28 * 18 - (4 - math.pi) * 5**2),
        (capsule(X, Y, 15, 20, 45, 40, 4), math.hypot(30, 20) * 8 + math.pi * 4**2),
        (capsule(X, Y, 30, 30, 30, 30, 4), math.pi * 4**2),
        (curve(X, Y, (10, 20), (30, 20), (50, 20), 3), 40 * 6 + math.pi * 3**2),
        (half_plane(X, Y, (0, 20), (SIZE, 20)), SIZE * (SIZE - 20)),
        (convex_polygon(X, Y, [(10, 10), (50, 10), (10, 50)]), 40 * 40 / 2),
    ],
)
def test_the_covered_area_is_that_of_the_shape(distance, expected):
    assert distance.dtype == np.float32
    assert area(distance) == pytest.approx(expected, rel=0.01)


def test_a_turned_box_and_ellipse_point_along_their_angle():
    angle = math.pi / 6
    for shape in (box, ellipse):
        inside = shape(X, Y, 32, 32, 25, 5, angle=angle) < 0
        rows, columns = np.nonzero(inside)
        slope = np.polyfit(columns - 31.5, rows - 31.5, 1)[0]
        assert slope == pytest.approx(math.tan(angle), abs=0.06)


def test_distances_grow_by_one_per_pixel():
    distance = disc(X, Y, 0, 0.5, 10)[0]
    assert np.allclose(np.diff(distance), 1, atol=1e-5)
    distance = ellipse(X, Y, 0, 0.5, 10, 20)[0]
    assert np.diff(distance)[8:12] == pytest.approx(1, abs=0.01)


def test_the_centre_of_an_ellipse_is_inside_it():
    assert ellipse(X, Y, 20.5, 20.5, 6, 4)[20, 20] == -4


def test_a_curve_passes_through_its_ends_and_the_middle_of_its_arc():
    distance = curve(X, Y, (8.5, 40.5), (32.5, -7.5), (56.5, 40.5), 1)
    for x, y in ((8, 40), (32, 16), (56, 40)):
        assert distance[y, x] == pytest.approx(-1, abs=0.1)
    assert distance[40, 32] > 10


def test_coverage_is_a_ramp_one_pixel_wide():
    distances = np.array([-2, -0.5, -0.25, 0, 0.25, 0.5, 2], np.float32)
    assert coverage(distances).tolist() == [1, 1, 0.75, 0.5, 0.25, 0, 0]


def test_paint_blends_by_alpha_and_rounds_at_the_end():
    image = np.zeros((1, 3, 3), np.float32)
    paint(image, (100, 200, 300), np.array([[0, 0.5, 1]], np.float32))
    assert to_uint8(image).tolist() == [[[0, 0, 0], [50, 100, 150], [100, 200, 255]]]
