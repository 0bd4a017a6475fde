import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.transform import (
    CROPS,
    INTERPOLATIONS,
    RESIZES,
    Transform,
    geometry,
    tight_box,
    transform_boxes,
    transform_image,
    transform_mask,
)
from pipeline.errors import UserError

sides = st.integers(1, 40)
plans = st.builds(
    Transform,
    size=st.none() | st.integers(1, 33),
    resize=st.sampled_from(RESIZES),
    crop=st.sampled_from(CROPS),
    interpolation=st.sampled_from(tuple(INTERPOLATIONS)),
)


def columns(*values):
    """An image of one row with these grey values, (1, W, 3)."""
    return np.repeat(np.array([values], np.uint8)[:, :, None], 3, axis=2)


def test_the_shortest_side_is_scaled_and_the_middle_cut_out():
    place = geometry(100, 200, Transform(50))
    assert place.scaled == (50, 100) and place.offset == (0, 25) and place.shape == (50, 50)


def test_without_a_crop_the_shortest_side_alone_is_fixed():
    place = geometry(100, 250, Transform(50, crop="none"))
    assert place.scaled == place.shape == (50, 125) and place.offset == (0, 0)


def test_the_longest_side_is_scaled_and_the_rest_padded():
    place = geometry(100, 200, Transform(50, resize="longest"))
    assert place.scaled == (25, 50) and place.offset == (-13, 0) and place.shape == (50, 50)


def test_stretching_ignores_the_proportions():
    place = geometry(7, 90, Transform(11, resize="stretch"))
    assert place.scaled == place.shape == (11, 11) and place.offset == (0, 0)


def test_a_side_never_shrinks_to_nothing():
    assert geometry(1, 1000, Transform(10, resize="longest")).scaled == (1, 10)


def test_without_a_size_nothing_changes():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    boxes = [(0.0, 1.0, 2.0, 3.0, "nose")]
    assert np.array_equal(transform_image(image, Transform(None)), image)
    assert transform_boxes(boxes, 5, 7, Transform(None)) == boxes


def test_an_image_of_the_right_size_keeps_every_pixel():
    image = np.random.default_rng(0).integers(0, 256, (7, 7, 3), np.uint8)
    assert np.array_equal(transform_image(image, Transform(7, interpolation="lanczos")), image)


def test_the_middle_of_an_odd_and_an_even_row_is_cut_out():
    assert transform_image(columns(1, 2, 3, 4, 5), Transform(1, "none"))[0, :, 0].tolist() == [3]
    row = np.repeat(columns(1, 2, 3, 4, 5), 2, axis=0)
    assert transform_image(row, Transform(2, "none"))[0, :, 0].tolist() == [2, 3]


def test_what_is_smaller_than_the_crop_is_padded_with_the_background():
    padded = transform_image(columns(9), Transform(3, "none", background="#0a0b0c"))
    assert padded.shape == (3, 3, 3) and padded[1, 1].tolist() == [9, 9, 9]
    assert (padded.reshape(9, 3) == [10, 11, 12]).all(axis=1).sum() == 8


def test_shrinking_is_antialiased():
    row = np.repeat(columns(0, 0, 200, 200), 2, axis=0)
    # A triangle over four pixels weighs them 3/4, 3/4 and 1/4 at the border: 200 / 7 and 200 * 6 / 7.
    assert transform_image(row, Transform(2, "stretch"))[0, :, 0].tolist() == [29, 171]
    assert transform_image(row, Transform(2, "stretch", interpolation="nearest"))[0, :, 0].tolist() == [0, 200]


def test_a_mask_pixel_needs_more_than_half_of_its_area():
    mask = np.array([[1, 1, 0, 1, 1, 0], [1, 0, 0, 1, 0, 0]], bool)
    assert transform_mask(mask, Transform(1, "shortest", "none")).tolist() == [[True, False, False]]


def test_a_grown_mask_repeats_its_pixels():
    mask = np.array([[True, False]])
    assert transform_mask(mask, Transform(4, "stretch")).tolist() == [[True, True, False, False]] * 4


def test_padding_is_outside_of_every_mask():
    mask = transform_mask(np.ones((1, 2), bool), Transform(2, "longest", background="white"))
    assert mask.sum() == 2 and mask.any(axis=1).sum() == 1


def test_a_box_moves_with_its_image():
    boxes = [(100.0, 20.0, 140.0, 60.0, "face")]
    assert transform_boxes(boxes, 100, 200, Transform(50)) == [(25.0, 10.0, 45.0, 30.0, "face")]


def test_a_box_is_clipped_to_the_crop():
    boxes = [(0.0, 0.0, 120.0, 100.0, "body")]
    assert transform_boxes(boxes, 100, 200, Transform(50)) == [(0.0, 0.0, 35.0, 50.0, "body")]


def test_a_box_outside_the_crop_or_below_half_a_pixel_is_left_out():
    outside, tiny, kept = (0.0, 0.0, 40.0, 90.0, "a"), (99.0, 50.0, 99.5, 60.0, "b"), (90.0, 40.0, 110.0, 60.0, "c")
    assert [box[4] for box in transform_boxes([outside, tiny, kept], 100, 200, Transform(50))] == ["c"]


def test_a_tight_box_touches_the_mask_on_all_sides():
    mask = np.zeros((5, 6), bool)
    mask[1:3, 2:6] = True
    assert tight_box(mask, "hat") == (2.0, 1.0, 6.0, 3.0, "hat")
    assert tight_box(np.zeros((2, 2), bool), "hat") is None


@given(sides, sides, plans)
def test_image_and_mask_keep_the_same_shape_at_any_size(height, width, plan):
    image = transform_image(np.full((height, width, 3), 77, np.uint8), plan)
    mask = transform_mask(np.ones((height, width), bool), plan)
    shape = geometry(height, width, plan).shape
    assert image.shape == (*shape, 3) and mask.shape == shape and mask.dtype == np.bool_
    assert plan.size is None or (plan.resize == "none" and plan.crop == "none") or max(shape) >= plan.size
    # A full mask marks exactly what is image and not padding.
    assert np.array_equal(mask, (image == 77).all(axis=2))


@given(st.integers(2, 12), st.integers(2, 12), st.integers(1, 4), st.sampled_from(["shortest", "longest", "none"]))
def test_the_box_of_a_whole_factor_is_the_box_of_the_mask(height, width, factor, resize):
    side = (max if resize == "longest" else min)(height, width)
    plan = Transform(side * factor if resize != "none" else side, resize)
    mask = np.zeros((height, width), bool)
    mask[height // 2 :, : width // 2 + 1] = True
    moved = transform_boxes([tight_box(mask, "part")], height, width, plan)
    expected = tight_box(transform_mask(mask, plan), "part")
    assert moved == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, "dataset.size is 0; it is a number of pixels from 1 to 4096"),
        ({"resize": "shortst"}, r'dataset.resize is "shortst" \(did you mean "shortest"\?\)'),
        ({"crop": "random"}, "it is one of center, none"),
        ({"interpolation": "cubic"}, r'did you mean "bicubic"\?'),
        ({"background": "blurple"}, "write white, black or #7f7f7f"),
    ],
)
def test_a_wrong_value_is_named_with_a_valid_one(options, sentence):
    with pytest.raises(UserError, match=sentence):
        Transform.from_options(options)
