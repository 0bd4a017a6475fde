import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.decode import BrokenImage, decode_image, decode_object_mask

NOISE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)
GREY = NOISE[:, :, 0]
KINDS = [("JPEG", {}), ("PNG", {}), ("WEBP", {"lossless": True}), ("BMP", {}), ("TIFF", {}), ("GIF", {})]


def encoded(image, kind="PNG", **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width, height):
    """The beginning of a PNG that claims this size: no decoder must believe it and take the memory."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    pixels = b"IDAT" + zlib.compress(b"\0" * 100)
    chunks = [struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data)) for data in (chunk, pixels)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_lossless_kinds_of_files_keep_every_pixel(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    assert np.array_equal(decode_image(encoded(NOISE, kind, **options)), NOISE)


def test_a_jpeg_keeps_its_colours_roughly():
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    assert np.abs(decode_image(encoded(flat, "JPEG", quality=95)).astype(int) - flat).max() <= 3


def test_grey_gets_three_equal_channels():
    assert np.array_equal(decode_image(encoded(GREY)), np.repeat(GREY[:, :, None], 3, axis=2))


def test_a_palette_shows_its_colours():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    assert decode_image(encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]]]
    assert decode_image(encoded(image, transparency=0)).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_what_is_transparent_shows_the_background():
    image = Image.fromarray(np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8))
    assert decode_image(encoded(image)).tolist() == [[[200, 100, 50], [255, 255, 255], [227, 177, 152]]]
    assert decode_image(encoded(image), background=(0, 0, 255))[0, 1].tolist() == [0, 0, 255]


def test_grey_with_alpha_shows_the_background_where_it_is_transparent():
    image = Image.fromarray(np.array([[[80, 255], [80, 0]]], np.uint8))
    assert image.mode == "LA"
    assert decode_image(encoded(image), background=(1, 2, 3)).tolist() == [[[80, 80, 80], [1, 2, 3]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind):
    deep = np.array([[0, 257, 32768, 65535]], np.uint16)
    assert decode_image(encoded(deep, kind))[0, :, 0].tolist() == [0, 1, 128, 255]


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (2, 2), (255, 0, 0, 0))
    assert decode_image(encoded(image, "TIFF"))[0, 0].tolist() == [0, 255, 255]


def test_a_bilevel_image_is_black_and_white():
    image = Image.fromarray(np.array([[True, False]]))
    assert decode_image(encoded(image)).tolist() == [[[255] * 3, [0] * 3]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_exif_orientation_is_applied(kind):
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[:, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to see it upright
    data = encoded(np.rot90(upright, 1).copy(), kind, exif=exif)
    decoded = decode_image(data)
    assert decoded.shape == (8, 16, 3) and decoded[:, :6].min() > 200 and decoded[:, 10:].max() < 50


def test_a_photograph_with_a_preview_is_one_image():
    data = encoded(np.full((8, 8, 3), 90, np.uint8), "MPO", save_all=True, append_images=[Image.new("RGB", (4, 4))])
    assert decode_image(data).shape == (8, 8, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_no_image(kind):
    other = Image.fromarray(NOISE[::-1].copy())
    with pytest.raises(BrokenImage, match="2 frames"):
        decode_image(encoded(NOISE, kind, save_all=True, append_images=[other]))


def test_an_empty_file_says_so():
    with pytest.raises(BrokenImage, match=r"empty \(0 bytes\)"):
        decode_image(b"")


@pytest.mark.parametrize("data", [b"hello", b"%PDF-1.4\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_other_files_are_no_images(data):
    with pytest.raises(BrokenImage, match="is no JPEG, PNG"):
        decode_image(data)


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_truncated_file_is_broken_and_not_half_an_image(kind, options, share):
    large = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(large, kind, **options)
    with pytest.raises(BrokenImage):
        decode_image(data[: int(share * len(data))])


@pytest.mark.parametrize(
    ("width", "height", "reason"),
    [(20_001, 1, "a side above 20,000"), (10_001, 10_000, "more than 100,000,000"), (60_000, 60_000, "larger than")],
)
def test_an_absurd_size_is_refused_before_any_pixel_is_decoded(width, height, reason):
    with pytest.raises(BrokenImage, match=reason):
        decode_image(png_header(width, height))


def test_32_bit_pixels_are_refused_with_a_way_out():
    with pytest.raises(BrokenImage, match="floating-point numbers; save the image with 8 or 16 bits"):
        decode_image(encoded(np.ones((2, 2), np.float32), "TIFF"))
    with pytest.raises(BrokenImage, match="beyond 16 bits"):
        decode_image(encoded(np.full((2, 2), 70_000, np.int32), "TIFF"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_noise_in_a_file_never_raises_anything_else():
    noise = np.random.default_rng(2)
    for kind, options in KINDS:
        data = np.frombuffer(encoded(NOISE, kind, **options), np.uint8)
        for _ in range(100):
            damaged = data.copy()
            damaged[noise.integers(0, len(data), 3)] = noise.integers(0, 256, 3)
            try:
                assert decode_image(damaged.tobytes()).dtype == np.uint8
            except BrokenImage as broken:
                assert str(broken)


@pytest.mark.parametrize(
    ("values", "marked"),
    [([0, 255, 0], [1]), ([0, 1, 0], [1]), ([0, 3, 17], [1, 2]), ([0, 255, 90, 200], [1, 3])],
    ids=["black and white", "zero and one", "numbers of classes", "soft edges"],
)
def test_a_grey_mask_marks_the_object(values, marked):
    mask = decode_object_mask(encoded(np.array([values], np.uint8)))
    assert mask.dtype == np.bool_ and np.flatnonzero(mask[0]).tolist() == marked


def test_a_dark_colour_marks_the_object():
    assert decode_object_mask(encoded(np.array([[[0, 0, 0], [64, 0, 0]]], np.uint8))).tolist() == [[False, True]]


def test_a_mask_may_be_bilevel_a_palette_or_deep():
    assert decode_object_mask(encoded(np.array([[False, True]]))).tolist() == [[False, True]]
    assert decode_object_mask(encoded(np.array([[1000, 65_535]], np.uint16))).tolist() == [[False, True]]
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 128, 0, 0])
    palette.putpixel((1, 0), 1)
    assert decode_object_mask(encoded(palette)).tolist() == [[False, True]]


def test_an_empty_mask_is_all_outside():
    assert not decode_object_mask(encoded(np.zeros((3, 2), np.uint8))).any()
