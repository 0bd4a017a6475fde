"""Resize and crop an image, its boxes and its masks together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor

from pipeline.datasets.hints import meant
from pipeline.datasets.source import Box
from pipeline.errors import UserError

RESIZES = ("shortest", "stretch", "longest", "none")
CROPS = ("center", "none")
INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
LARGEST_SIZE = 4096

# A box that is left with less than half a pixel in height or width marks nothing.
SMALLEST_BOX = 0.5


@dataclass(frozen=True)
class Transform:
    """How images become one size.

    size: the side of the result in pixels; None leaves every image as it is.
    resize: "shortest" scales until the shorter side is `size`; "longest" until the longer side is, and pads to a
    square; "stretch" makes both sides `size`, whatever the proportions; "none" does not scale.
    crop: "center" cuts the middle size x size out (and pads where the image is smaller); "none" keeps all of it, so
    that with resize "shortest" or "none" the results differ in size.
    interpolation: of the image, antialiased when it shrinks. background: a colour name or #rrggbb for padding.
    """

    size: int | None = 224
    resize: str = "shortest"
    crop: str = "center"
    interpolation: str = "bilinear"
    background: str = "white"

    @classmethod
    def from_options(cls, options: Mapping) -> Transform:
        """Take the options of a dataset that belong here, and check their values (UserError)."""
        plan = cls(**{name: options[name] for name in cls.__dataclass_fields__ if name in options})
        if plan.size is not None and not 1 <= plan.size <= LARGEST_SIZE:
            raise UserError(
                f"dataset.size is {plan.size}; it is a number of pixels from 1 to {LARGEST_SIZE}, such as 64."
            )
        for name, valid in (("resize", RESIZES), ("crop", CROPS), ("interpolation", tuple(INTERPOLATIONS))):
            value = getattr(plan, name)
            if value not in valid:
                raise UserError(
                    f'dataset.{name} is "{value}"{meant(str(value), valid)}; it is one of {", ".join(valid)}.'
                )
        colour(plan.background)
        return plan


@dataclass(frozen=True)
class Geometry:
    """The image is scaled to `scaled` (height, width); the result is the window of `shape` at `offset` (top, left)."""

    scaled: tuple[int, int]
    offset: tuple[int, int]
    shape: tuple[int, int]


def colour(name: str) -> tuple[int, int, int]:
    """Red, green and blue (0 to 255) of a colour name or #rrggbb; UserError for any other word."""
    try:
        return ImageColor.getrgb(name)[:3]
    except ValueError:
        raise UserError(f'dataset.background is "{name}", which is no colour; write white, black or #7f7f7f.') from None


def geometry(height: int, width: int, plan: Transform) -> Geometry:
    """Where an image of this height and width goes."""
    scaled = shape = (height, width)
    if plan.size is None:
        return Geometry(scaled, (0, 0), shape)
    if plan.resize == "stretch":
        scaled = (plan.size, plan.size)
    elif plan.resize in ("shortest", "longest"):
        side = min(height, width) if plan.resize == "shortest" else max(height, width)
        scaled = (_scaled(height, plan.size, side), _scaled(width, plan.size, side))
    shape = (plan.size, plan.size) if plan.crop == "center" or plan.resize == "longest" else scaled
    return Geometry(scaled, ((scaled[0] - shape[0]) // 2, (scaled[1] - shape[1]) // 2), shape)


def transform_image(image: np.ndarray, plan: Transform) -> np.ndarray:
    """uint8 (H, W, 3) of a uint8 image (height, width, 3)."""
    place = geometry(*image.shape[:2], plan)
    if place.scaled != image.shape[:2]:
        scaled = Image.fromarray(image).resize(place.scaled[::-1], INTERPOLATIONS[plan.interpolation])
        image = np.asarray(scaled)
    return _window(image, place, np.array(colour(plan.background), np.uint8))


def transform_mask(mask: np.ndarray, plan: Transform) -> np.ndarray:
    """bool (H, W) of a bool mask (height, width): true where more than half of a pixel's area is; padding is false."""
    place = geometry(*mask.shape, plan)
    if place.scaled != mask.shape:
        area = Image.fromarray(mask.astype(np.float32)).resize(place.scaled[::-1], Image.Resampling.BOX)
        # Half a pixel must not pass because the weights of the areas were rounded.
        mask = np.asarray(area) > 0.5 + 1e-6
    return _window(mask, place, np.array(False))


def fit(image: np.ndarray, side: int | None) -> np.ndarray:
    """An image uint8 (height, width, 3) or (height, width) as a network that makes images of one size takes it.

    The shorter side is brought to `side` pixels (bicubic) and the middle square cut out, (side, side, 3); an image that
    has this size stays as it is, and so does any with side None.
    """
    if side is None or image.shape[:2] == (side, side):
        return image
    colours = image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return transform_image(colours, Transform(side, interpolation="bicubic"))


def fit_mask(mask: np.ndarray, side: int | None) -> np.ndarray:
    """The mask bool (H, W) of an image that `fit` has brought to `side` pixels."""
    return mask if side is None else transform_mask(mask, Transform(side))


def transform_boxes(boxes: Sequence[Box], height: int, width: int, plan: Transform) -> list[Box]:
    """The boxes of an image (height, width), moved with it and clipped; those that vanish are left out."""
    place = geometry(height, width, plan)
    (top, left), (rows, columns) = place.offset, place.shape
    down, across = place.scaled[0] / height, place.scaled[1] / width
    moved = []
    for x0, y0, x1, y1, label in boxes:
        x0, x1 = (min(max(x * across - left, 0.0), float(columns)) for x in (x0, x1))
        y0, y1 = (min(max(y * down - top, 0.0), float(rows)) for y in (y0, y1))
        if x1 - x0 >= SMALLEST_BOX and y1 - y0 >= SMALLEST_BOX:
            moved.append((x0, y0, x1, y1, label))
    return moved


def tight_box(mask: np.ndarray, label: str) -> Box | None:
    """The smallest box around a bool mask (H, W), or None when the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1), label)


def _scaled(length: int, size: int, side: int) -> int:
    """length * size / side, rounded half up, at least one pixel."""
    return max(1, (2 * length * size + side) // (2 * side))


def _window(array: np.ndarray, place: Geometry, fill: np.ndarray) -> np.ndarray:
    """Cut the window out of an array (height, width, ...), filled where the window is larger."""
    (top, left), (rows, columns) = place.offset, place.shape
    if place.offset == (0, 0) and place.shape == array.shape[:2]:
        return np.array(array)
    window = np.empty((rows, columns, *array.shape[2:]), array.dtype)
    window[:] = fill
    inside = array[max(top, 0) : top + rows, max(left, 0) : left + columns]
    down, across = max(-top, 0), max(-left, 0)
    window[down : down + inside.shape[0], across : across + inside.shape[1]] = inside
    return window
