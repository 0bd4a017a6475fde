import io
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from pipeline.errors import UserError
from pipeline.images import (
    content,
    decode_mask,
    decode_png,
    encode_mask,
    encode_png,
    from_tensor,
    image_struct,
    to_tensor,
)

sides = st.integers(1, 9)
colour_images = st.tuples(sides, sides, st.just(3)).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
grey_images = st.tuples(sides, sides).flatmap(lambda shape: arrays.arrays(np.uint8, shape))
masks = st.tuples(sides, sides).flatmap(lambda shape: arrays.arrays(np.bool_, shape))


@given(colour_images | grey_images)
def test_an_image_survives_its_png(image):
    assert np.array_equal(decode_png(encode_png(image)), image)


@given(masks)
def test_a_mask_survives_its_png_of_one_bit(mask):
    encoded = encode_mask(mask)
    decoded = decode_mask(encoded)
    assert decoded.dtype == np.bool_ and np.array_equal(decoded, mask)
    assert Image.open(io.BytesIO(encoded)).mode == "1"


def test_equal_pixels_give_equal_bytes_however_they_lie_in_memory():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    turned = np.asfortranarray(image)
    assert encode_png(image) == encode_png(turned) and content(image) == content(turned)


def test_content_tells_shapes_apart_that_hold_the_same_bytes():
    pixels = np.arange(12, dtype=np.uint8)
    shapes = [(12, 1), (1, 12), (3, 4), (2, 2, 3), (4, 1, 3)]
    assert len({content(pixels.reshape(shape)) for shape in shapes}) == len(shapes)


def test_content_notices_one_changed_pixel():
    image = np.zeros((4, 4, 3), np.uint8)
    changed = image.copy()
    changed[3, 3, 2] = 1
    assert content(image) != content(changed) and content(image) == content(image.copy())


def test_a_struct_holds_the_png_and_the_name():
    image = np.full((2, 3), 7, np.uint8)
    assert image_struct(image, "a.png") == {"bytes": encode_png(image), "path": "a.png"}
    assert image_struct(image)["path"] is None


def test_a_tensor_of_grey_and_colour_has_three_channels_from_0_to_1():
    grey = np.array([[0, 255, 51]], np.uint8)
    colour = np.zeros((1, 3, 3), np.uint8)
    colour[0, 0] = (255, 0, 102)
    tensor = to_tensor([grey, encode_png(grey), image_struct(colour)])
    assert tensor.shape == (3, 3, 1, 3) and tensor.is_contiguous()
    assert tensor[0].tolist() == tensor[1].tolist() == [[pytest.approx([0, 1, 0.2])]] * 3
    assert tensor[2, :, 0, 0].tolist() == pytest.approx([1, 0, 0.4])


@given(st.lists(colour_images, min_size=1, max_size=1))
def test_a_tensor_turns_back_into_its_pixels(images):
    assert np.array_equal(from_tensor(to_tensor(images)), np.stack(images))


def test_pixels_outside_the_range_are_clamped_and_others_rounded():
    import torch

    values = torch.tensor([-0.5, 1.5, 0.5]).view(1, 3, 1, 1)
    assert from_tensor(values).tolist() == [[[[0, 255, 128]]]]


def test_a_pixel_that_is_no_number_is_refused():
    import torch

    with pytest.raises(ValueError, match="NaN"):
        from_tensor(torch.full((1, 3, 2, 2), float("nan")))


def test_images_of_two_sizes_are_no_batch():
    with pytest.raises(UserError, match=r"the first is 3 x 2, number 2 is 2 x 2 pixels; set dataset.size"):
        to_tensor([np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8)])


def test_an_empty_batch_has_no_size():
    with pytest.raises(ValueError, match="at least one image"):
        to_tensor([])


@pytest.mark.parametrize("array", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2)), np.zeros((0, 2, 3), np.uint8)])
def test_only_8_bit_colour_or_grey_with_pixels_is_an_image(array):
    with pytest.raises(ValueError, match="an image is uint8"):
        encode_png(array)


def test_only_a_flat_bool_array_is_a_mask():
    with pytest.raises(ValueError, match="a mask is bool"):
        encode_mask(np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize("cut", [0, 10, 60])
def test_a_cut_off_png_is_reported_and_not_half_decoded(cut):
    data = encode_png(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))[:cut]
    with pytest.raises(UserError, match=f"a stored image of {cut} bytes is no complete PNG"):
        decode_png(data)


def test_a_png_of_another_kind_is_not_mistaken_for_an_image_or_a_mask():
    buffer = io.BytesIO()
    Image.new("RGBA", (2, 2)).save(buffer, "PNG")
    with pytest.raises(UserError, match="mode RGBA"):
        decode_png(buffer.getvalue())
    with pytest.raises(UserError, match="mode L"):
        decode_mask(encode_png(np.zeros((2, 2), np.uint8)))


def test_reading_images_does_not_load_torch():
    modules = "images datasets datasets.world datasets.folder datasets.huggingface datasets.digits datasets.sampling"
    imports = "; ".join(f"import pipeline.{module}" for module in modules.split())
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules or 'datasets' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
