import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UserError
from pipeline.worlds import Scene, draw_scene, load_world
from pipeline.worlds.shapes import CANVAS, COLOURS, EDGE, GAP, NAMES, caption, nuisance, parse_caption, parts, render

SHAPES = load_world("shapes")
few_examples = settings(max_examples=30, deadline=None, derandomize=True)


def scene_of(index):
    return draw_scene(SHAPES, 2026, f"shapes-test-{index:06d}")


def outlines(numbers):
    """For each shape, in canvas pixels: centre, half width and half height."""
    for name in NAMES:
        x, y = numbers[f"{name}_x"] * CANVAS, numbers[f"{name}_y"] * CANVAS
        if name.endswith("circle"):
            yield name, x, y, numbers[f"{name}_radius"] * CANVAS, numbers[f"{name}_radius"] * CANVAS
        else:
            yield name, x, y, numbers[f"{name}_width"] * CANVAS / 2, numbers[f"{name}_height"] * CANVAS / 2


def points_on_edge(name, x, y, half_width, half_height):
    """Points on the edge of a shape, (points, 2), one or more per pixel."""
    if name.endswith("circle"):
        turns = np.linspace(0, 2 * np.pi, 64)
        return np.stack([x + half_width * np.cos(turns), y + half_width * np.sin(turns)], axis=1)
    sides = np.linspace(-1, 1, 17)
    horizontal = [(x + half_width * side, y + sign * half_height) for side in sides for sign in (-1, 1)]
    vertical = [(x + sign * half_width, y + half_height * side) for side in sides for sign in (-1, 1)]
    return np.array(horizontal + vertical)


def check_layout(numbers):
    edges = []
    for name, x, y, half_width, half_height in outlines(numbers):
        assert x == int(x) and y == int(y) and half_width == int(half_width) and half_height == int(half_height)
        assert x - half_width >= EDGE and x + half_width <= CANVAS - EDGE
        assert y - half_height >= EDGE and y + half_height <= CANVAS - EDGE
        edges.append(points_on_edge(name, x, y, half_width, half_height))
    for first, second in combinations(edges, 2):
        assert np.linalg.norm(first[:, None] - second, axis=-1).min() >= GAP - 1e-9


@given(seed=st.integers(0, 10**6))
@few_examples
def test_all_six_shapes_have_a_place_of_their_own_on_the_grid(seed):
    check_layout(nuisance(np.random.default_rng(seed)))


@given(seed=st.integers(0, 10**6))
@few_examples
def test_shapes_still_find_a_place_when_every_free_attempt_fails(seed):
    check_layout(nuisance(np.random.default_rng(seed), attempts=0))


def test_a_rectangle_covers_exactly_the_pixels_its_caption_names():
    image = render(Scene(*parse_caption("blue rectangle (30, 22) 10x14")), 64)
    inside = np.zeros((64, 64), bool)
    inside[15:29, 25:35] = True
    assert (image[inside] == COLOURS["blue"]).all()
    assert (image[~inside] == 255).all()


def test_a_circle_has_the_centre_and_area_its_caption_names():
    image = render(Scene(*parse_caption("red circle (12, 40) r 6")), 64)
    coverage = (255 - image[..., 1].astype(float)) / (255 - COLOURS["red"][1])
    rows, columns = np.mgrid[:64, :64] + 0.5
    assert coverage.sum() == pytest.approx(math.pi * 6**2, rel=0.01)
    assert (coverage * columns).sum() / coverage.sum() == pytest.approx(12, abs=0.01)
    assert (coverage * rows).sum() / coverage.sum() == pytest.approx(40, abs=0.01)


@pytest.mark.parametrize("size", [32, 128, 256])
def test_a_picture_at_another_size_shows_the_same_scene(size):
    for index in range(5):
        small, large = (render(scene_of(index), s).astype(float) for s in sorted((64, size)))
        factor = len(large) // len(small)
        averaged = large.reshape(len(small), factor, len(small), factor, 3).mean(axis=(1, 3))
        # A corner that covers a quarter of a pixel is drawn as half of it.
        assert abs(averaged - small).max() <= 0.25 * 255
        assert abs(averaged - small).mean() <= 0.5


@given(index=st.integers(0, 10**6), values=st.lists(st.integers(0, 1), min_size=6, max_size=6))
@few_examples
def test_a_caption_is_read_back_and_alone_gives_the_picture(index, values):
    scene = Scene(dict(zip(NAMES, values, strict=True)), scene_of(index).nuisance)
    concepts, geometry = parse_caption(caption(scene))
    assert concepts == scene.concepts
    assert geometry.items() <= scene.nuisance.items()
    assert (render(Scene(concepts, geometry), 64) == render(scene, 64)).all()


def test_a_caption_names_the_present_shapes_in_the_order_of_the_concepts():
    text = "red rectangle (30, 22) 10x14, blue circle (12, 40) r 6"
    concepts, geometry = parse_caption(text)
    assert caption(Scene(concepts, geometry)) == "blue circle (12, 40) r 6, red rectangle (30, 22) 10x14"


def test_the_empty_picture_is_white_and_called_empty():
    scene = Scene(dict.fromkeys(NAMES, 0), scene_of(0).nuisance)
    assert caption(scene) == "empty"
    assert parse_caption("empty") == (scene.concepts, {})
    assert (render(scene, 64) == 255).all()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "cannot read"),
        ("red circle", 'cannot read "red circle"'),
        ("red circle (12, 40) r 6, ", "cannot read"),
        ("red circel (12, 40) r 6", 'did you mean "red_circle"'),
        ("red circle (12, 40) 10x14", "red circle needs radius"),
        ("red rectangle (12, 40) r 6", "red rectangle needs width and height"),
        ("red circle (12, 40) r 6, red circle (30, 40) r 6", "twice"),
    ],
)
def test_text_that_is_no_caption_is_explained(text, sentence):
    with pytest.raises(UserError, match=sentence):
        parse_caption(text)


def test_parts_of_different_shapes_never_share_a_pixel():
    for index in range(10):
        for size in (32, 64):
            assert sum(mask.astype(int) for mask in parts(scene_of(index), size).values()).max() == 1


def test_presences_are_fair_independent_coins():
    drawn = np.array([list(scene_of(index).concepts.values()) for index in range(1000)])
    assert np.allclose(drawn.mean(axis=0), 0.5, atol=0.06)
    assert abs(np.corrcoef(drawn.T) - np.eye(6)).max() < 0.12


def test_no_shape_is_pushed_to_the_edge_by_the_order_of_placement():
    drawn = [nuisance(np.random.default_rng(seed)) for seed in range(1000)]
    places = np.array([[(numbers[f"{name}_x"], numbers[f"{name}_y"]) for name in NAMES] for numbers in drawn])
    assert np.allclose(places.mean(axis=0), 0.5, atol=0.04)
    from_centre = np.linalg.norm(places - 0.5, axis=-1).mean(axis=0)
    assert np.ptp(from_centre) < 0.03
