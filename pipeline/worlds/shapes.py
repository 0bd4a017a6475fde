"""The shapes world: circles and rectangles in three colours, each present or absent on a white background.

This is the synthetic data of DEPICT (Jabbour et al. 2024, section 4.1): six presences, shapes placed at random, never
overlapping. What the paper leaves open is chosen here: the canvas, sizes, margins and the background.

Every image has a place of its own for all six shapes, whether present or not, so that a shape added by an intervention
never touches another. Geometry lives on the integer grid of a 64-pixel canvas (x to the right, y down, from the upper
left corner), at every image size; the nuisance holds it as fractions of the image side. A caption states it in the
pixels of that canvas and therefore describes the image exactly.
"""

from __future__ import annotations

import math
import re

import numpy as np

from pipeline.errors import UserError
from pipeline.worlds import Concept, Scene, World, changed_pixels, find_concept
from pipeline.worlds.raster import box, coverage, disc, paint, pixel_centres, to_uint8

CANVAS = 64
EDGE = 2
GAP = 3
# Radii and half sides: whole numbers, so that the edges of a rectangle with an integer centre fall between pixels.
SMALLEST, LARGEST = 4, 8
CELLS, CELL = 3, 21
WHITE = (255, 255, 255)
COLOURS = {"red": (220, 40, 40), "green": (40, 160, 60), "blue": (40, 70, 215)}

NAMES = tuple(f"{colour}_{form}" for form in ("circle", "rectangle") for colour in COLOURS)
CONCEPTS = tuple(Concept(name, ("absent", "present")) for name in NAMES)
EXTENTS = {name: ("radius",) if name.endswith("circle") else ("width", "height") for name in NAMES}

NUMBER = r"[1-9]\d{0,3}"
FRAGMENT = re.compile(
    rf"(?P<shape>\w+ \w+) \((?P<x>{NUMBER}), (?P<y>{NUMBER})\)"
    rf" (?:r (?P<radius>{NUMBER})|(?P<width>{NUMBER})x(?P<height>{NUMBER}))"
)


def nuisance(generator: np.random.Generator, attempts: int = 8, proposals: int = 48) -> dict[str, float]:
    """Draw the geometry of all six shapes, whether present or not, as fractions of the image side.

    Sizes are uniform. Shapes are placed one after the other, in random order, at uniform places that keep their
    distance from those before; when one finds no place among its proposals, a new attempt begins. If all attempts
    fail, each shape gets a random place within a cell of its own on a grid, which always works.
    """
    sizes = generator.integers(SMALLEST, LARGEST, (len(NAMES), 2), endpoint=True).tolist()
    outlines = [(0, 0, a) if name.endswith("circle") else (a, b, 0) for name, (a, b) in zip(NAMES, sizes, strict=True)]
    for _ in range(attempts):
        centres = _place_freely(generator, outlines, proposals)
        if centres:
            break
    else:
        centres = _place_in_cells(generator, outlines)
    numbers = {}
    for name, (half_width, half_height, radius), centre in zip(NAMES, outlines, centres, strict=True):
        extents = (radius,) if radius else (2 * half_width, 2 * half_height)
        for key, value in zip(("x", "y", *EXTENTS[name]), (*centre, *extents), strict=True):
            numbers[f"{name}_{key}"] = value / CANVAS
    return numbers


def render(scene: Scene, size: int = CANVAS) -> np.ndarray:
    """Draw the shapes that are present, uint8 (size, size, 3); reads the geometry of those only."""
    image = np.full((size, size, 3), WHITE, np.float32)
    for name in NAMES:
        if scene.concepts[name]:
            _draw(image, name, _geometry(name, scene.nuisance))
    return to_uint8(image)


def parts(scene: Scene, size: int = CANVAS) -> dict[str, np.ndarray]:
    """Return for each shape, present or not, the pixels that adding or removing it changes, bool (size, size)."""
    return changed_pixels(render, CONCEPTS, scene, size)


def caption(scene: Scene) -> str:
    """Describe the shapes that are present, in the order of the concepts: "red circle (12, 40) r 6".

    Centre, radius, width and height are in pixels of the 64-pixel canvas, whatever the image size. Absent shapes are
    not named; without any shape the caption is "empty".
    """
    fragments = []
    for name in NAMES:
        if scene.concepts[name]:
            x, y, *extents = (round(value) for value in _geometry(name, scene.nuisance))
            extents = f"r {extents[0]}" if len(extents) == 1 else f"{extents[0]}x{extents[1]}"
            fragments.append(f"{name.replace('_', ' ')} ({x}, {y}) {extents}")
    return ", ".join(fragments) or "empty"


def parse_caption(text: str) -> tuple[dict[str, int], dict[str, float]]:
    """Read a caption back: the value of every concept, and the geometry of the shapes present (fractions of the side).

    Fragments may come in any order. Raises UserError for text that is no caption, and for a shape named twice.
    """
    concepts = dict.fromkeys(NAMES, 0)
    geometry: dict[str, float] = {}
    # A comma within brackets is followed by a number, one between fragments by a word.
    for fragment in re.split(r", (?=[a-z])", text) if text != "empty" else []:
        match = FRAGMENT.fullmatch(fragment)
        if match is None:
            example = '"red circle (12, 40) r 6" or "blue rectangle (30, 22) 10x14"'
            raise UserError(f'cannot read "{fragment}" in the caption "{text}"; write {example}.')
        name = find_concept(CONCEPTS, match["shape"].replace(" ", "_")).name
        if concepts[name] or match[EXTENTS[name][0]] is None:
            reason = "is there twice" if concepts[name] else f"needs {' and '.join(EXTENTS[name])}"
            raise UserError(f'in the caption "{text}", {match["shape"]} {reason}.')
        concepts[name] = 1
        for key in ("x", "y", *EXTENTS[name]):
            geometry[f"{name}_{key}"] = int(match[key]) / CANVAS
    return concepts, geometry


def labels(concepts: dict[str, int]) -> dict[str, int]:
    """Return the class of every task: the presence of each shape."""
    return {name: concepts[name] for name in NAMES}


def _geometry(name: str, numbers: dict[str, float]) -> list[float]:
    """Return a shape's centre x and y and its sizes, in pixels of the canvas."""
    return [numbers[f"{name}_{key}"] * CANVAS for key in ("x", "y", *EXTENTS[name])]


def _draw(image: np.ndarray, name: str, geometry: list[float]) -> None:
    """Draw one shape into a float32 image (size, size, 3), in place; looks at the pixels around the shape only."""
    size = len(image)
    centre_x, centre_y, *extents = geometry
    half_width, half_height = (extents[0], extents[0]) if len(extents) == 1 else (extents[0] / 2, extents[1] / 2)
    columns, rows = _span(centre_x, half_width, size), _span(centre_y, half_height, size)
    centres = pixel_centres(size, CANVAS)
    x, y = centres[None, columns], centres[rows, None]
    if name.endswith("circle"):
        distance = disc(x, y, centre_x, centre_y, half_width)
    else:
        distance = box(x, y, centre_x, centre_y, half_width, half_height)
    paint(image[rows, columns], COLOURS[name.split("_")[0]], coverage(distance * np.float32(size / CANVAS)))


def _span(centre: float, reach: float, size: int) -> slice:
    """Return the pixels of an axis that a shape can touch, with a pixel to spare for the soft edge."""
    scale = size / CANVAS
    first = math.floor((centre - reach) * scale) - 1
    last = math.ceil((centre + reach) * scale) + 1
    return slice(max(first, 0), min(last, size))


# An outline is (half width, half height, radius): (0, 0, r) for a circle and (w / 2, h / 2, 0) for a rectangle. Both
# are rounded boxes, so that one formula gives the gap between any two.


def _place_freely(generator: np.random.Generator, outlines: list, proposals: int) -> list[tuple[int, int]] | None:
    """Place outlines one by one at uniform centres that keep the gap; None if one finds no place."""
    order = generator.permutation(len(outlines)).tolist()
    numbers = generator.random((len(outlines), proposals, 2)).tolist()
    centres: dict[int, tuple[int, int]] = {}
    for index, candidates in zip(order, numbers, strict=True):
        for candidate in candidates:
            centre = _within(candidate, outlines[index], (0, 0), CANVAS)
            if all(_gap(outlines[index], centre, outlines[other], centres[other]) >= GAP for other in centres):
                centres[index] = centre
                break
        else:
            return None
    return [centres[index] for index in range(len(outlines))]


def _place_in_cells(generator: np.random.Generator, outlines: list) -> list[tuple[int, int]]:
    """Place each outline in a cell of its own, chosen at random: cells are wide enough for the largest outline."""
    cells = generator.permutation(CELLS**2)[: len(outlines)].tolist()
    numbers = generator.random((len(outlines), 2)).tolist()
    return [
        _within(number, outline, (cell % CELLS * CELL, cell // CELLS * CELL), CELL)
        for number, outline, cell in zip(numbers, outlines, cells, strict=True)
    ]


def _within(numbers: list[float], outline: tuple[int, int, int], corner: tuple[int, int], side: int) -> tuple[int, int]:
    """Turn two numbers in [0, 1) into an integer centre that keeps the outline off the edges of a square."""
    half_width, half_height, radius = outline
    centre = []
    for number, start, half in zip(numbers, corner, (half_width, half_height), strict=True):
        reach = EDGE + half + radius
        centre.append(start + reach + math.floor(number * (side - 2 * reach + 1)))
    return centre[0], centre[1]


def _gap(first: tuple, first_centre: tuple[int, int], second: tuple, second_centre: tuple[int, int]) -> float:
    """Return the distance between the edges of two outlines, in pixels of the canvas; negative if they overlap."""
    beyond_x = max(abs(first_centre[0] - second_centre[0]) - first[0] - second[0], 0)
    beyond_y = max(abs(first_centre[1] - second_centre[1]) - first[1] - second[1], 0)
    return math.sqrt(beyond_x**2 + beyond_y**2) - first[2] - second[2]


WORLD = World(
    name="shapes",
    concepts=CONCEPTS,
    tasks={concept.name: concept.values for concept in CONCEPTS},
    nuisance=nuisance,
    render=render,
    parts=parts,
    caption=caption,
    labels=labels,
)
