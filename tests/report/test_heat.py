"""Maps as pictures."""

import numpy as np

from pipeline.report.heat import colour_map, heat, outline, scale, spotlight

GREY = np.full((4, 6, 3), 128, np.uint8)


def test_highest_value_of_a_map_is_the_lightest_and_the_scale_rises():
    map = np.zeros((4, 6), np.float32)
    map[1, 2] = 7
    drawn = heat(GREY, map).sum(2)
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (1, 2)
    assert (np.diff(colour_map(np.linspace(0, 1, 20)) @ [0.2126, 0.7152, 0.0722]) > 0).all()
    assert len(scale()) == 9 and all(colour.startswith("#") and len(colour) == 7 for colour in scale())


def test_map_is_coloured_from_its_own_lowest_to_its_own_highest_value():
    map = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert (heat(GREY, map) == heat(GREY, 1000 * map - 5)).all()
    assert (heat(GREY, np.ones((4, 6))) == heat(GREY, np.zeros((4, 6)))).all()


def test_coarse_map_takes_the_size_of_the_image():
    drawn = heat(GREY, np.array([[0, 1]], np.float32)).sum(2)
    assert drawn.shape == (4, 6) and (np.diff(drawn, axis=1) >= 0).all() and drawn[0, 5] > drawn[0, 0]


def test_colours_stay_only_where_the_pixels_matter():
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = 200
    mask = np.array([[True, False], [False, False]])
    drawn = spotlight(image, mask)
    assert (drawn[0, 0] == [200, 0, 0]).all() and len(set(drawn[1, 1])) == 1


def test_outline_runs_around_the_pixels_of_a_mask():
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    assert outline(mask) == "M1 1H3M1 2H3M1 1V2M3 1V2"
