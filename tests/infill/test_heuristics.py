"""Each heuristic against a loop over pixels that follows its definition."""

import inspect
import math
from importlib import import_module

import numpy
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pipeline.errors import UserError
from pipeline.infill import load_infill
from pipeline.infill.declared import called, heuristics
from pipeline.infill.heuristics import box_matrix, gaussian_blur, odd_width
from pipeline.noise import Noise

HEURISTICS = ("mean", "blur", "random", "local-mean")
IDS = tuple(f"image-{row}" for row in range(5))


def batch(rows=5, height=24, width=20):
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(rows, 3, height, width, generator=generator)
    keep = (torch.rand(rows, 1, height, width, generator=generator) < 0.3).float()
    keep[:, :, :12, :12] = 0  # so that some windows hold no kept pixel
    return images, keep


def noise(ids=IDS):
    return Noise(7, ids, "test")


def test_mean_is_the_mean_colour_of_each_image_and_looks_at_no_mask():
    images, keep = batch()
    filled = load_infill("mean")(images, keep)
    for row in range(5):
        for channel in range(3):
            expected = numpy.mean([float(value) for value in images[row, channel].ravel()])
            assert torch.allclose(filled[row, channel], torch.tensor(expected).float(), atol=1e-6)
    assert torch.equal(filled, load_infill("mean")(images, 1 - keep))


def test_mean_takes_the_colour_that_it_is_given():
    images, keep = batch()
    filled = load_infill("mean", colour=[0.485, 0.456, 0.406])(images, keep)
    assert filled.shape == images.shape
    assert torch.equal(filled[2, :, 4, 5], torch.tensor([0.485, 0.456, 0.406]))


def mirrored(place, length):
    """Reflect-101: the outermost pixel is the mirror and is not repeated."""
    while not 0 <= place < length:
        place = -place if place < 0 else 2 * (length - 1) - place
    return place


def blurred_by_loop(channel, sigma):
    """Sum over the window of each pixel, one side after the other, in float64."""
    reach = int(4 * sigma + 0.5)
    weights = [math.exp(-0.5 * (offset / sigma) ** 2) for offset in range(-reach, reach + 1)]
    total = sum(weights)
    for _ in range(2):
        lines = []
        for line in channel.tolist():
            taps = [
                [line[mirrored(place + tap - reach, len(line))] for tap in range(len(weights))]
                for place in range(len(line))
            ]
            lines.append([sum(w * value for w, value in zip(weights, tap, strict=True)) / total for tap in taps])
        channel = torch.tensor(lines, dtype=torch.float64).T
    return channel


@pytest.mark.parametrize("sigma", [0.7, 2.0, 9.0])
def test_blur_is_the_gaussian_sum_over_a_mirrored_image(sigma):
    channel = batch(1, 11, 8)[0][0, 0].double()
    assert torch.allclose(gaussian_blur(channel.float(), sigma).double(), blurred_by_loop(channel, sigma), atol=1e-6)


@pytest.mark.parametrize("sigma", [0.7, 2.86, 10.0])
def test_blur_agrees_with_scipy(sigma):
    image = batch(1, 40, 30)[0][0]
    expected = gaussian_filter(image.double().numpy(), sigma, mode="mirror", axes=(1, 2))
    assert numpy.allclose(gaussian_blur(image, sigma).numpy(), expected, atol=1e-6)


def test_blur_with_repeated_edge_agrees_with_scipy():
    image = batch(1, 12, 9)[0][0]
    expected = gaussian_filter(image.double().numpy(), 1.5, mode="nearest", axes=(1, 2))
    assert numpy.allclose(gaussian_blur(image, 1.5, border="edge").numpy(), expected, atol=1e-6)


def test_the_sigma_of_blur_is_in_pixels_of_a_224_pixel_image():
    images, keep = batch(2, 56, 56)
    assert torch.equal(load_infill("blur", sigma=10)(images, keep), gaussian_blur(images, 2.5))


def local_mean_by_loop(image, keep, width, empty):
    filled = torch.empty_like(image)
    reach = width // 2
    for row in range(image.shape[1]):
        for column in range(image.shape[2]):
            window = (slice(max(0, row - reach), row + reach + 1), slice(max(0, column - reach), column + reach + 1))
            kept = keep[0][window].bool()
            for channel in range(3):
                values = image[channel][window][kept]
                filled[channel, row, column] = values.mean() if len(values) else empty[channel]
    return filled


@pytest.mark.parametrize(("colour", "empty"), [({}, (0, 0, 0)), ({"colour": [0.2, 0.4, 0.6]}, (0.2, 0.4, 0.6))])
def test_local_mean_is_the_mean_of_the_kept_pixels_around_and_a_colour_where_there_are_none(colour, empty):
    images, keep = batch(2)
    width = 224 * 5 / math.sqrt(24 * 20)  # a box of 5 pixels here
    filled = load_infill("local-mean", width=width, **colour)(images, keep)
    for row in range(2):
        assert torch.allclose(filled[row], local_mean_by_loop(images[row], keep[row], 5, empty), atol=1e-6)
    assert torch.allclose(filled[:, :, 3, 3], torch.tensor(empty).float())


def test_local_mean_of_a_whole_hole_is_the_empty_colour_everywhere():
    images, keep = batch()
    assert torch.equal(load_infill("local-mean")(images, torch.zeros_like(keep)), torch.zeros_like(images))


def test_the_box_of_local_mean_scales_with_the_image_to_an_odd_width():
    assert [odd_width(15 * side / 224) for side in (224, 128, 64, 32, 16)] == [15, 9, 5, 3, 3]
    assert box_matrix(6, 3).sum(0).tolist() == [2, 3, 3, 3, 3, 2]


def test_random_is_one_uniform_colour_for_each_row_plus_clipped_noise():
    ids = [f"image-{row}" for row in range(200)]
    images = torch.zeros(200, 3, 8, 8)
    filled = load_infill("random")(images, images[:, :1], noise=noise(ids), step=4)
    colours = noise(ids).for_purpose("test: colour of the random in-fill").uniform(4, (3, 1, 1))
    grain = noise(ids).normal(4, (3, 8, 8))
    assert torch.allclose(filled, (colours + 0.2 * grain).clamp(0, 1))
    assert filled.min() == 0 and filled.max() == 1
    assert abs(float(colours.mean()) - 0.5) < 0.04 and abs(float(colours.std()) - 12**-0.5) < 0.02
    assert torch.equal(
        load_infill("random", spread=0)(images, images[:, :1], noise=noise(ids), step=4), colours.expand_as(images)
    )


def test_the_colour_of_random_is_independent_of_its_grain():
    ids = [f"image-{row}" for row in range(400)]
    colours = noise(ids).for_purpose("test: colour of the random in-fill").uniform(0, (3,))
    grain = noise(ids).normal(0, (3,))
    assert abs(numpy.corrcoef(colours.ravel().numpy(), grain.ravel().numpy())[0, 1]) < 0.1


def test_random_differs_by_step_and_is_the_same_again():
    images, keep = batch()
    infill = load_infill("random")
    first, again, later = (infill(images, keep, noise=noise(), step=step) for step in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.isclose(first, later).all(dim=(1, 2, 3)).any()


def test_random_refuses_to_work_without_noise_for_each_row():
    images, keep = batch()
    with pytest.raises(ValueError, match="one row for each row"):
        load_infill("random")(images, keep, noise=noise().select([0]), step=0)


@pytest.mark.parametrize("name", HEURISTICS)
def test_a_row_does_not_depend_on_its_neighbours(name):
    images, keep = batch()
    infill, order = load_infill(name), [3, 1, 4, 0, 2]
    together = infill(images, keep, noise=noise(), step=1)
    shuffled = infill(images[order], keep[order], noise=noise().select(order), step=1)
    assert torch.allclose(shuffled, together[order], atol=1e-6)
    assert together.shape == images.shape and together.dtype == torch.float32
    assert together.min() >= 0 and together.max() <= 1 + 1e-6


@pytest.mark.parametrize("name", HEURISTICS)
def test_no_gradient_flows_through_and_no_input_changes(name):
    images, keep = batch()
    before = images.clone(), keep.clone()
    filled = load_infill(name)(images.requires_grad_(), keep.requires_grad_(), noise=noise(), step=0)
    assert not filled.requires_grad
    assert torch.equal(images, before[0]) and torch.equal(keep, before[1])


def test_only_what_depends_on_mask_or_step_is_asked_again():
    images, keep = batch()
    for name in HEURISTICS:
        infill = load_infill(name)
        here = infill(images, keep, noise=noise(), step=0)
        there = infill(images, 1 - keep, noise=noise(), step=1)
        assert infill.per_step == (not torch.equal(here, there)), name


def test_wrong_names_options_and_values_are_answered_with_valid_ones():
    for name, options, answer in (
        ("blurr", {}, "use blur"),
        ("blur", {"sigm": 3}, "did you mean 'sigma'"),
        ("blur", {"sigma": 0}, "sigma: input should be greater than 0"),
        ("mean", {"colour": "red"}, "colour.*: input should be 'image'"),
        ("mean", {"colour": [0, 1]}, "at least 3 items"),
        ("mean", {"colour": [0, 1, 255]}, "less than or equal to 1, not 255"),
        ("local-mean", {"colour": "image"}, "colour: input should be a valid list"),
        ("local-mean", {"width": 0}, "greater than or equal to 1"),
        ("random", {"spread": -1}, "greater than or equal to 0"),
    ):
        with pytest.raises(UserError, match=answer):
            load_infill(name, **options)


def test_every_heuristic_is_declared_with_the_defaults_of_its_function():
    assert set(HEURISTICS) == set(heuristics())
    for name, section in heuristics().items():
        module, function = section.build.split(":")
        parameters = inspect.signature(getattr(import_module(module), function)).parameters
        assert section(infill=name).options() == {
            key: list(each.default) if isinstance(each.default, tuple) else each.default
            for key, each in parameters.items()
        }


def test_options_stand_in_the_name_that_tables_have():
    assert called("blur") == called(heuristics()["blur"](infill="blur")) == "blur"
    assert called(heuristics()["mean"](infill="mean", colour=[0, 0.5, 1])) == "mean colour 0.0 0.5 1.0"
