"""Images and masks as PNG bytes, arrays and tensors: what goes into a table's image column and what comes out of it.

An image array is uint8 of shape (H, W, 3) for colour or (H, W) for grey; a mask is bool of shape (H, W).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipeline.errors import UserError

if TYPE_CHECKING:
    import torch

COMPRESS_LEVEL = 1


def check_image(array: np.ndarray) -> np.ndarray:
    """Return the array itself; ValueError unless it is uint8 of shape (H, W, 3) or (H, W) with at least one pixel."""
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        raise ValueError(f"an image is uint8 (H, W, 3) or (H, W), not {array.dtype} {array.shape}")
    return array


def encode_png(array: np.ndarray) -> bytes:
    """PNG bytes of a uint8 image (H, W, 3) or (H, W); equal pixels give equal bytes."""
    return _save(Image.fromarray(np.ascontiguousarray(check_image(array))))


def decode_png(data: bytes) -> np.ndarray:
    """uint8 (H, W, 3) or (H, W) of PNG bytes written by `encode_png`.

    UserError when the bytes are no complete 8-bit PNG without alpha: files of any other kind are read by `datasets`.
    """
    image = _open(data)
    if image.mode not in ("RGB", "L"):
        raise UserError(f"a stored image is a PNG of mode {image.mode}; store it as 8-bit RGB or grey (mode RGB or L).")
    return np.array(image)


def encode_mask(mask: np.ndarray) -> bytes:
    """1-bit PNG bytes of a bool mask (H, W)."""
    if mask.dtype != np.bool_ or mask.ndim != 2 or not mask.size:
        raise ValueError(f"a mask is bool (H, W), not {mask.dtype} {mask.shape}")
    return _save(Image.fromarray(np.ascontiguousarray(mask)))


def decode_mask(data: bytes) -> np.ndarray:
    """bool (H, W) of PNG bytes written by `encode_mask`; UserError when they are no complete 1-bit PNG."""
    image = _open(data)
    if image.mode != "1":
        raise UserError(f"a stored mask is a PNG of mode {image.mode}; store it as a 1-bit PNG (mode 1).")
    return np.array(image, dtype=bool)


def content(array: np.ndarray) -> str:
    """The identity of an image: sha256 (64 hex digits) of its shape and pixels."""
    check_image(array)
    digest = hashlib.sha256("x".join(map(str, array.shape)).encode() + b":")
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def image_struct(array: np.ndarray, path: str | None = None) -> dict[str, bytes | str | None]:
    """The value of an image column: {"bytes": PNG of the array, "path": a name to show, or None}."""
    return {"bytes": encode_png(array), "path": path}


def to_tensor(images: Sequence[bytes | dict | np.ndarray]) -> torch.Tensor:
    """float32 (N, 3, H, W) in [0, 1] of PNG bytes, image structs or uint8 arrays; grey gets three equal channels.

    UserError when two images differ in size; ValueError when there is none (a batch has a size).
    """
    import torch

    if len(images) == 0:
        raise ValueError("to_tensor needs at least one image: an empty batch has no height and width")
    arrays = [_to_colour(image) for image in images]
    for index, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            (height, width), (other_height, other_width) = arrays[0].shape[:2], array.shape[:2]
            raise UserError(
                f"images of one batch differ in size: the first is {width} x {height}, number {index + 1} is "
                f"{other_width} x {other_height} pixels; set dataset.size (for example 64) so that all are equal."
            )
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous().float().div_(255)


def from_tensor(images: torch.Tensor) -> np.ndarray:
    """uint8 (N, H, W, 3) of a float tensor (N, 3, H, W); values outside [0, 1] are clamped, the rest rounded.

    ValueError when a value is not finite: rounding would turn it into an ordinary pixel.
    """
    if not bool(images.isfinite().all()):
        raise ValueError("an image with NaN or infinite pixels cannot be stored")
    pixels = images.detach().float().clamp(0, 1).mul(255).round()
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8))


def tile(images: Sequence[np.ndarray], columns: int, gap: int = 2) -> np.ndarray:
    """One uint8 image (H, W, 3) of many (h, w, 3) of one size, row by row on white, `gap` pixels apart."""
    height, width, _ = images[0].shape
    rows = -(-len(images) // columns)
    whole = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        top, left = ((height + gap) * (index // columns) + gap, (width + gap) * (index % columns) + gap)
        whole[top : top + height, left : left + width] = image
    return whole


def _to_colour(image: bytes | dict | np.ndarray) -> np.ndarray:
    if isinstance(image, dict):
        image = image["bytes"]
    array = decode_png(image) if isinstance(image, bytes) else check_image(image)
    return array if array.ndim == 3 else np.repeat(array[:, :, None], 3, axis=2)


def _save(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=COMPRESS_LEVEL)
    return buffer.getvalue()


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=["PNG"])
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise UserError(
            f"a stored image of {len(data)} bytes is no complete PNG ({error}); make its table again."
        ) from None
    return image
