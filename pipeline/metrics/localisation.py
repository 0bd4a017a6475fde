"""Localisation: does the box around the salient pixels find the object?

Protocol of Fong & Vedaldi 2017, as in their published code (three ways to cut a map; the box around what survives;
right if its intersection over union with a box of the class is above 1/2), with the largest connected component of
Zolna et al. 2020 as an option.

What the published code does otherwise than one would read it is `definition="paper"`; "corrected" is ours:

              corrected                                      paper
    energy    the largest values with the one by which they  without that one: the 4 alone, which holds 40 %
              hold alpha of the sum: at alpha 1/2 of 4, 3,
              2, 1 the 4 and the 3
    box       the map is brought to the image and then cut;  the map is cut on its own grid and then brought to the
              around what the threshold keeps                image; around what is above 0 there, so that it reaches
                                                             half a cell further, and zeros have no part in it

Boxes are (x0, y0, x1, y1) in pixels; x1 and y1 lie outside.
"""

from collections.abc import Sequence
from types import MappingProxyType

import numpy as np

from pipeline.errors import UserError, nearest
from pipeline.metrics.truth_maps import Scored, at_size

DEFINITIONS = ("corrected", "paper")
RULE, ALPHA = "mean", 1.0
"""What the fixed threshold keeps: the pixels above the mean of their map."""
GRIDS = MappingProxyType(
    {
        "value": np.arange(20) * 0.05,
        "energy": np.arange(20) * 0.05,
        "mean": np.arange(21) * 0.5,
    }
)
"""The values of alpha to choose from, for each rule: 0, 0.05 .. 0.95, and for the mean 0, 0.5 .. 10, as published."""


def localisation_error(boxes: np.ndarray, truth: Sequence[np.ndarray]) -> Scored:
    """1 where the box (N, 4) of an image overlaps none of its true boxes (M, 4) by more than 1/2, else 0.

    An overlap of exactly 1/2 is an error. Images without a true box are not scored.
    """
    scored = np.array([len(true_boxes) > 0 for true_boxes in truth], bool)
    wrong = [
        not (overlaps(box, true_boxes) > 0.5).any() if len(true_boxes) else False
        for box, true_boxes in zip(boxes, truth, strict=True)
    ]
    return Scored(np.array(wrong, np.float64), scored)


def salient_boxes(
    maps: np.ndarray,
    size: tuple[int, int],
    *,
    rule: str,
    alpha: float,
    largest_component: bool = False,
    definition: str = "corrected",
) -> np.ndarray:
    """The box (N, 4) around the pixels that survive in each map (N, h, w), brought to images of `size` (H, W).

    Values below 0 count as 0. rule, alpha: see `survivors`. definition: see the module. largest_component: whether only
    the largest of the connected regions counts, with neighbours above, below and beside. If nothing survives, the box
    is the whole image.
    """
    boxes = []
    for map in maps:
        positive = np.maximum(map, 0)
        if checked_definition(definition) == "paper":
            kept = at_size(np.where(survivors(positive, rule, alpha, definition), positive, 0), size) > 0
        else:
            kept = survivors(np.maximum(at_size(map, size), 0), rule, alpha)
        boxes.append(tight_box(largest(kept) if largest_component else kept))
    return np.array(boxes, np.int64).reshape(-1, 4)


def fixed_boxes(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The boxes (N, 4), in images of `size`, of the largest region that the fixed threshold keeps of each map."""
    return salient_boxes(maps, size, rule=RULE, alpha=ALPHA, largest_component=True)


def tuned_boxes(maps: np.ndarray, truth: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) by the threshold with the fewest errors on the other half of the images (every second one).

    truth: boxes (B, 4) of each image. Where the other half has none, the threshold is the fixed one.
    """
    boxes = fixed_boxes(maps, size)
    for half in (0, 1):
        others = [index for index in range(1 - half, len(maps), 2) if len(truth[index])]
        if others:
            held_out = [truth[index] for index in others]
            alpha = tuned_alpha(maps[others], held_out, size, rule=RULE, largest_component=True)
            boxes[half::2] = salient_boxes(maps[half::2], size, rule=RULE, alpha=alpha, largest_component=True)
    return boxes


def tuned_alpha(
    maps: np.ndarray,
    truth: Sequence[np.ndarray],
    size: tuple[int, int],
    *,
    rule: str,
    largest_component: bool = False,
) -> float:
    """The alpha of the rule's grid with the fewest errors on held-out images; of equal ones the smallest."""
    errors = []
    for alpha in GRIDS[checked_rule(rule)]:
        boxes = salient_boxes(maps, size, rule=rule, alpha=alpha, largest_component=largest_component)
        values, scored = localisation_error(boxes, truth)
        if not scored.any():
            raise UserError("localisation: none of the held-out images has a box; give images with boxes, or an alpha")
        errors.append(values[scored].mean())
    return float(GRIDS[rule][int(np.argmin(errors))])


def survivors(map: np.ndarray, rule: str, alpha: float, definition: str = "corrected") -> np.ndarray:
    """The pixels (H, W), as booleans, that a threshold rule keeps of one map (H, W) of values 0 or above.

    "value": values at least alpha of the way from the lowest to the highest. "mean": at least alpha times the mean.
    "energy": the largest values, until they hold alpha of the sum; equal values survive together. By the definition
    "paper" those equal to the last are left out.
    """
    map = np.asarray(map, np.float64)
    if checked_rule(rule) == "value":
        return map - map.min() >= alpha * (map.max() - map.min())
    if rule == "mean":
        return map >= alpha * map.mean()
    descending = np.sort(map, axis=None)[::-1]
    held = np.cumsum(descending)
    last = descending[np.argmax(held >= alpha * held[-1])]
    return map > last if checked_definition(definition) == "paper" else map >= last


def checked_definition(definition: str) -> str:
    if definition not in DEFINITIONS:
        raise UserError(f"localisation: there is no definition {definition!r}; use {' or '.join(DEFINITIONS)}")
    return definition


def checked_rule(rule: str) -> str:
    """The rule, if there is one of that name; UserError with the nearest if not."""
    if rule not in GRIDS:
        close = nearest(rule, GRIDS) or "mean"
        raise UserError(f"localisation: there is no rule {rule!r}; use {close} (one of {', '.join(GRIDS)})")
    return rule


def largest(kept: np.ndarray) -> np.ndarray:
    """The largest connected region of kept (H, W); the first in reading order of equal ones."""
    from scipy.ndimage import label

    regions, count = label(kept)
    if count == 0:
        return kept
    return regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])


def tight_boxes(mask: np.ndarray) -> np.ndarray:
    """The boxes (B, 4) of the connected regions of a mask (H, W)."""
    from scipy.ndimage import find_objects, label

    regions = find_objects(label(mask)[0])
    boxes = [[across.start, down.start, across.stop, down.stop] for down, across in regions]
    return np.array(boxes, float).reshape(-1, 4)


def tight_box(kept: np.ndarray) -> np.ndarray:
    """The smallest box (4,) around the kept pixels of (H, W); the whole image if there are none."""
    if not kept.any():
        return np.array([0, 0, kept.shape[1], kept.shape[0]])
    rows, columns = np.flatnonzero(kept.any(1)), np.flatnonzero(kept.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union (M,) of one box (4,) with others (M, 4)."""
    box, others = np.asarray(box, np.float64), np.asarray(others, np.float64).reshape(-1, 4)
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = np.maximum(sides, 0).prod(1)
    union = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(1) - shared
    return shared / union
