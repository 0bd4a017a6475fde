"""How many network evaluations a method spends on one image, and how large its map is: known before anything runs.

Counted as `Maps` counts them, passes of one image through the classifier; here those that end in a backward pass are
told apart, since they cost more. Imports nothing heavy. A test holds every formula against what the explainer reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

DISC_RADII = 35  # of `bbmp`'s first mask, each tried once
GRID_OF_BBMP = 28
PIXELS_PER_CELL = 4  # of FIDO's mask, if no grid is given
CELLS_OF_GRAD_CAM = 8  # on a side: the layer decides, and is only known once the network is there


@dataclass(frozen=True)
class Spent:
    """What one image takes: forward passes alone, forward passes with their backward, and the cells of the map.

    rows_together: passes of one image that stand in one batch; batches that too few images fill are padded, which costs
    time.
    """

    forward: int
    with_backward: int
    map_cells: int
    rows_together: int = 1

    @property
    def network_evaluations(self) -> int:
        """As the explainer reports them: a pass with its backward counts once."""
        return self.forward + self.with_backward


def spent_per_image(method: str, options: Mapping[str, Any], height: int, width: int) -> Spent:
    """What `method` spends on an image of height x width pixels.

    options: those of its section in a study; the explainer's own defaults hold for what is left out.
    """
    if method not in SPENT:
        raise ValueError(f"there is no formula for the network evaluations of {method!r}; add it to {__name__}.SPENT")
    return SPENT[method](options, height, width)


def fido(options: Mapping[str, Any], height: int, width: int) -> Spent:
    masks = options.get("masks", 8)
    return Spent(0, options.get("steps", 300) * masks, cells(options.get("grid"), height, width), masks)


def bbmp(options: Mapping[str, Any], height: int, width: int) -> Spent:
    """Deleting the whole image and each disc, for the start; then the steps."""
    searched = DISC_RADII + 1 if options.get("start", "disc") == "disc" else 0
    grid = options.get("grid") or min(GRID_OF_BBMP, height)
    return Spent(searched, options.get("steps", 300), cells(grid, height, width))


def bbmp_in_fido(options: Mapping[str, Any], height: int, width: int) -> Spent:
    return Spent(0, options.get("steps", 300), cells(options.get("grid"), height, width))


def gradient(options: Mapping[str, Any], height: int, width: int) -> Spent:
    return Spent(0, 1, height * width)


def integrated_gradients(options: Mapping[str, Any], height: int, width: int) -> Spent:
    steps = options.get("steps", 32)
    return Spent(0, steps, height * width, steps)


def grad_cam(options: Mapping[str, Any], height: int, width: int) -> Spent:
    return Spent(0, 1, CELLS_OF_GRAD_CAM**2)


def lime(options: Mapping[str, Any], height: int, width: int) -> Spent:
    samples = options.get("samples", 256)
    return Spent(samples, 0, isqrt(options.get("segments", 49)) ** 2, samples)


def occlusion(options: Mapping[str, Any], height: int, width: int) -> Spent:
    """The image itself, and one for every place of the window."""
    window, stride = options.get("window", 0.25), options.get("stride", 0.125)
    scored = 1 + places(height, window, stride) * places(width, window, stride)
    return Spent(scored, 0, height * width, scored)


def random(options: Mapping[str, Any], height: int, width: int) -> Spent:
    return Spent(0, 0, height * width)


def cells(grid: int | None, height: int, width: int) -> int:
    """Cells of a mask with `grid` of them along the height."""
    rows = grid or max(1, round(height / PIXELS_PER_CELL))
    return rows * max(1, round(rows * width / height))


def places(length: int, window: float, stride: float) -> int:
    """Places of a window on its way along one side; the last one ends where the image ends."""
    size, step = max(1, round(window * length)), max(1, round(stride * length))
    return len(range(0, length - size, step)) + 1


SPENT: dict[str, Callable[[Mapping[str, Any], int, int], Spent]] = {
    "fido": fido,
    "bbmp": bbmp,
    "bbmp-fido": bbmp_in_fido,
    "gradient": gradient,
    "integrated-gradients": integrated_gradients,
    "grad-cam": grad_cam,
    "lime": lime,
    "occlusion": occlusion,
    "random": random,
}
"""One for each method of `pipeline.explain.SALIENCY`."""
