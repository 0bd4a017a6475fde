"""Decode an image file of any usual kind to 8-bit RGB, or say why it cannot be."""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.errors import UserError

# Other formats that Pillow knows run external programs or are no photographs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
LARGEST_PIXELS = 100_000_000
LARGEST_SIDE = 20_000

# What Pillow raises for bytes that are no valid image; the bytes are in memory, so an OSError is no disk error.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, LookupError, TypeError)


class BrokenImage(Exception):
    """The reason, as a phrase, why a file holds no usable image."""


def decode_image(data: bytes, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """uint8 (H, W, 3), upright, of the bytes of a JPEG, PNG, WebP, BMP, TIFF or GIF file.

    The EXIF orientation is applied. Transparent pixels show the background colour. Grey becomes three equal channels;
    16-bit grey is scaled from 0..65535 to 0..255; of 16-bit colour the upper 8 bits of each channel count. CMYK is
    converted without its colour profile, and profiles of other files are ignored too, as networks are trained on images
    read that way.
    BrokenImage: no image, truncated, several frames, 32-bit pixels, over LARGEST_PIXELS pixels or LARGEST_SIDE a side.
    """
    image = _open(data)
    try:
        return _to_rgb(_upright(image), background)
    except DECODE_ERRORS as error:
        raise BrokenImage(f"the pixels cannot be decoded: {_phrase(error)}; get the file again") from None


def decode_object_mask(data: bytes) -> np.ndarray:
    """bool (H, W) of a PNG that marks an object.

    The object is whatever is not 0 (black, or the first colour of a palette); but where a grey or colour mask has white
    in it, it is the brighter half of the range, so that soft edges are cut in the middle. BrokenImage as above.
    """
    image = _open(data)
    deep = _is_deep_grey(image)
    try:
        values = np.asarray(image if deep or image.mode in ("1", "L", "P") else image.convert("RGB"))
    except DECODE_ERRORS as error:
        raise BrokenImage(f"the pixels cannot be decoded: {_phrase(error)}; get the file again") from None
    brightest = values if values.ndim == 2 else values.max(axis=2)
    white = 65535 if deep else 255
    return brightest > (white // 2 if image.mode not in ("1", "P") and brightest.max() == white else 0)


def read_mask(where: str, path: Path) -> np.ndarray:
    """bool (H, W) of a file that a person named in the study, as `decode_object_mask`. UserError for one that is none.

    where: the key that names it.
    """
    try:
        return decode_object_mask(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{where}: there is no file {path}; give the path of an image of the region.") from None
    except (OSError, BrokenImage) as error:
        raise UserError(f"{where}: {path} holds no mask ({error}); save it as a PNG.") from None


def _open(data: bytes) -> Image.Image:
    """The image before its pixels are decoded, known to be of one frame and of a size that fits."""
    if not data:
        raise BrokenImage("the file is empty (0 bytes); get it again")
    try:
        with warnings.catch_warnings():
            # The limits below are the ones that count.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            frames = getattr(image, "n_frames", 1)
    except Image.UnidentifiedImageError:
        raise BrokenImage(f"the file is no {', '.join(FORMATS[:-1])} or {FORMATS[-1]} image") from None
    except Image.DecompressionBombError:
        raise BrokenImage(f"the image is larger than {LARGEST_PIXELS:,} pixels; save a smaller copy") from None
    except DECODE_ERRORS as error:
        raise BrokenImage(f"the file cannot be read as an image: {_phrase(error)}") from None
    width, height = image.size
    if width * height > LARGEST_PIXELS:
        raise BrokenImage(f"the image has {width} x {height} pixels, more than {LARGEST_PIXELS:,}; save a smaller copy")
    if max(width, height) > LARGEST_SIDE:
        raise BrokenImage(
            f"the image has {width} x {height} pixels, a side above {LARGEST_SIDE:,}; save a smaller copy"
        )
    # Cameras store a preview or a gain map as a second picture of a JPEG (MPO); its first picture is the photograph.
    if frames > 1 and image.format != "MPO":
        raise BrokenImage(f"the file holds {frames} frames; save the one that is meant as a still image")
    return image


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image, background: tuple[int, int, int]) -> np.ndarray:
    if _is_deep_grey(image):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise BrokenImage("the grey values go beyond 16 bits; save the image with 8 or 16 bits")
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "F":
        raise BrokenImage("the pixels are floating-point numbers; save the image with 8 or 16 bits")
    if image.has_transparency_data:
        behind = Image.new("RGBA", image.size, (*background, 255))
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    return np.array(image.convert("RGB"))


def _is_deep_grey(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def _phrase(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
