"""Maps as pictures: heat over the greyed image, and the outline of the pixels that truly matter."""

import numpy as np
from PIL import Image

COLOURS = "inferno"  # of matplotlib: perceptually uniform, and its lightness alone tells high from low
GREY = np.array([0.299, 0.587, 0.114])
FADED = 0.75  # how far the pixels that do not matter fade into light grey


def colour_map(values: np.ndarray) -> np.ndarray:
    """Colours (..., 3) in [0, 1] of values (...) in [0, 1]."""
    import matplotlib

    return matplotlib.colormaps[COLOURS](values)[..., :3]


def scale() -> list[str]:
    """The colours from low to high, as CSS."""
    colours = np.round(255 * colour_map(np.linspace(0, 1, 9))).astype(int)
    return ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours]


def grey(image: np.ndarray) -> np.ndarray:
    """The image (H, W, 3) or (H, W), uint8, without its colours: (H, W, 1) in [0, 1]."""
    shades = image if image.ndim == 2 else image @ GREY
    return shades[..., None] / 255


def heat(image: np.ndarray, map: np.ndarray) -> np.ndarray:
    """A map (h, w) over the greyed image, uint8 (H, W, 3): resized bilinearly, from its lowest to its highest value."""
    height, width = image.shape[:2]
    low, high = float(map.min()), float(map.max())
    spread = (np.asarray(map, np.float64) - low) / (high - low) if high > low else np.zeros(map.shape)
    resized = Image.fromarray(spread.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    level = np.clip(np.asarray(resized, np.float64), 0, 1)
    cover = (0.55 + 0.4 * level)[..., None]  # high values hide the image, low ones let it through
    return to_pixels((1 - cover) * grey(image) + cover * colour_map(level))


def spotlight(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image, uint8 (H, W, 3), with its colours only where the mask (H, W) is set; the rest is faded."""
    colours = (image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)) / 255
    faded = (1 - FADED) * grey(image) + FADED * 0.9
    return to_pixels(np.where(mask[..., None], colours, faded))


def to_pixels(colours: np.ndarray) -> np.ndarray:
    return np.round(255 * colours).astype(np.uint8)


def outline(mask: np.ndarray) -> str:
    """The border of a mask (H, W) as an SVG path in pixels: straight runs between pixels inside and outside."""
    padded = np.pad(mask, 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # (H + 1, W): a border above row y
    down = padded[1:-1, 1:] != padded[1:-1, :-1]  # (H, W + 1): a border left of column x
    lines = [f"M{start} {y}H{end}" for y, border in enumerate(across) for start, end in runs(border)]
    lines += [f"M{x} {start}V{end}" for x, border in enumerate(down.T) for start, end in runs(border)]
    return "".join(lines)


def runs(line: np.ndarray) -> list[tuple[int, int]]:
    """Start and end of every run of True in a line."""
    changes = np.flatnonzero(np.diff(np.pad(line.astype(np.int8), 1)))
    return [(int(start), int(end)) for start, end in changes.reshape(-1, 2)]
