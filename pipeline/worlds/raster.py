"""Anti-aliased drawing with signed distances: negative inside a shape, zero on its edge, positive outside.

Distance functions take float32 coordinate arrays x and y that broadcast together, and lengths in the same unit; images
have y pointing down, and angles are in radians, turning x towards y. The union of two shapes is the minimum of their
distances, the intersection the maximum, a without b is maximum(a, -b). Results are float32.
"""

from __future__ import annotations

import math
from functools import lru_cache, reduce
from itertools import pairwise

import numpy as np


@lru_cache(maxsize=16)
def pixel_centres(size: int, side: float = 1.0) -> np.ndarray:
    """Return the coordinates of the pixel centres along an axis of that many pixels and length side, (size,)."""
    centres = ((np.arange(size) + 0.5) * (side / size)).astype(np.float32)
    centres.flags.writeable = False
    return centres


def pixel_grid(size: int, side: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return x (1, size) and y (size, 1) of the pixel centres of a square image; they broadcast to (size, size)."""
    centres = pixel_centres(size, side)
    return centres[None, :], centres[:, None]


def coverage(distance: np.ndarray) -> np.ndarray:
    """Return how much of each pixel a shape covers, in [0, 1], from its signed distance in pixels (a ramp of 1 px)."""
    return np.clip(np.float32(0.5) - distance, np.float32(0), np.float32(1))


def paint(image: np.ndarray, colour: tuple[float, float, float] | np.ndarray, alpha: np.ndarray) -> None:
    """Blend a colour (3,) or picture (H, W, 3) into a float32 image (H, W, 3), in place, by alpha (H, W) in [0, 1]."""
    image += alpha[..., None] * (np.asarray(colour, np.float32) - image)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """Round an image whose values range from 0 to 255 to uint8; values outside are cut."""
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def disc(x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, radius: float) -> np.ndarray:
    """Distance to a disc."""
    return _length(x - np.float32(centre_x), y - np.float32(centre_y)) - np.float32(radius)


def ellipse(
    x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, radius_x: float, radius_y: float, angle: float = 0.0
) -> np.ndarray:
    """Distance to an ellipse, turned by the angle; first order: right near the edge, estimated far from it."""
    x, y = _local(x, y, centre_x, centre_y, angle)
    scaled = _length(x / np.float32(radius_x), y / np.float32(radius_y))
    slope = _length(x / np.float32(radius_x**2), y / np.float32(radius_y**2))
    # At the centre both vanish; there the distance is the smaller radius.
    inside = np.float32(-min(radius_x, radius_y))
    return np.where(slope > 0, scaled * (scaled - 1) / np.maximum(slope, np.float32(1e-12)), inside)


def box(
    x: np.ndarray,
    y: np.ndarray,
    centre_x: float,
    centre_y: float,
    half_width: float,
    half_height: float,
    corner: float = 0.0,
    angle: float = 0.0,
) -> np.ndarray:
    """Distance to a rectangle with corners rounded by the radius `corner` (at most the smaller half), turned."""
    x, y = _local(x, y, centre_x, centre_y, angle)
    beyond_x = np.abs(x) - np.float32(half_width - corner)
    beyond_y = np.abs(y) - np.float32(half_height - corner)
    outside = _length(np.maximum(beyond_x, 0), np.maximum(beyond_y, 0))
    return outside + np.minimum(np.maximum(beyond_x, beyond_y), 0) - np.float32(corner)


def capsule(
    x: np.ndarray, y: np.ndarray, start_x: float, start_y: float, end_x: float, end_y: float, radius: float
) -> np.ndarray:
    """Distance to a straight stroke with round ends, 2 radius thick; start may equal end."""
    x, y = x - np.float32(start_x), y - np.float32(start_y)
    step_x, step_y = end_x - start_x, end_y - start_y
    squared = step_x**2 + step_y**2
    if squared == 0:
        return _length(x, y) - np.float32(radius)
    along = np.clip(x * np.float32(step_x / squared) + y * np.float32(step_y / squared), 0, 1)
    return _length(x - along * np.float32(step_x), y - along * np.float32(step_y)) - np.float32(radius)


def curve(
    x: np.ndarray,
    y: np.ndarray,
    start: tuple[float, float],
    control: tuple[float, float],
    end: tuple[float, float],
    radius: float,
    pieces: int = 12,
) -> np.ndarray:
    """Distance to a quadratic Bezier stroke with round ends, 2 radius thick, drawn as straight pieces.

    They leave the curve by at most |start - 2 control + end| / (4 pieces^2): 0.1 pixel for a bend of 57 pixels.
    """
    points = [
        tuple((1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c for a, b, c in zip(start, control, end, strict=True))
        for t in (index / pieces for index in range(pieces + 1))
    ]
    strokes = (capsule(x, y, *first, *second, radius) for first, second in pairwise(points))
    return reduce(np.minimum, strokes)


def half_plane(x: np.ndarray, y: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> np.ndarray:
    """Distance to the half plane on the right of the line from start to end, as seen on the screen (y down)."""
    step_x, step_y = end[0] - start[0], end[1] - start[1]
    length = math.sqrt(step_x**2 + step_y**2)
    normal_x, normal_y = step_y / length, -step_x / length
    offset = normal_x * start[0] + normal_y * start[1]
    return x * np.float32(normal_x) + y * np.float32(normal_y) - np.float32(offset)


def convex_polygon(x: np.ndarray, y: np.ndarray, corners: list[tuple[float, float]]) -> np.ndarray:
    """Distance to a convex polygon, corners clockwise on the screen; outside near a corner it is a little too small."""
    edges = (half_plane(x, y, start, end) for start, end in pairwise([*corners, corners[0]]))
    return reduce(np.maximum, edges)


def _local(
    x: np.ndarray, y: np.ndarray, centre_x: float, centre_y: float, angle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates in the frame of a shape at a centre, turned by an angle."""
    x, y = x - np.float32(centre_x), y - np.float32(centre_y)
    if angle == 0:
        return x, y
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return cosine * x + sine * y, cosine * y - sine * x


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the length of vectors; sqrt is exactly rounded, unlike hypot: every machine gives the same pixels."""
    return np.sqrt(x * x + y * y)
