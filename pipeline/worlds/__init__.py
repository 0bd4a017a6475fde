"""Synthetic worlds: they render the same image again with one concept changed and everything else kept.

A scene is concepts (what an explanation may name) and nuisance (everything else, drawn independently of the concepts).
An intervention changes one concept and keeps the nuisance, so that it shows exactly what depends on that concept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from pipeline.errors import UserError
from pipeline.noise import stream
from pipeline.worlds.concepts import Concept, find_concept, unknown
from pipeline.worlds.prior import Prior

__all__ = ["WORLDS", "Concept", "Scene", "World", "changed_pixels", "draw_scene", "intervene", "load_world"]

WORLDS = {"portraits": "pipeline.worlds.portraits", "shapes": "pipeline.worlds.shapes"}


@dataclass(frozen=True)
class Scene:
    """One image before it is drawn: the value index of every concept, and the nuisance numbers."""

    concepts: dict[str, int]
    nuisance: dict[str, float]


@dataclass(frozen=True)
class World:
    """A family of images whose concepts are known.

    tasks: what a classifier can be asked, each with its class names; every concept is a task of its own name.
    nuisance: draws the nuisance numbers from a generator.
    render: draws a scene at a size in pixels, uint8 (size, size, 3); the same scene always gives the same pixels.
    parts: for each concept, bool (size, size): exactly the pixels that some intervention on it changes in this scene.
    caption: describes a scene in words.
    labels: gives the class index of every task from the value indices of the concepts.
    """

    name: str
    concepts: tuple[Concept, ...]
    tasks: dict[str, tuple[str, ...]]
    nuisance: Callable[[np.random.Generator], dict[str, float]]
    render: Callable[[Scene, int], np.ndarray]
    parts: Callable[[Scene, int], dict[str, np.ndarray]]
    caption: Callable[[Scene], str]
    labels: Callable[[dict[str, int]], dict[str, int]]


def load_world(name: str) -> World:
    """Return the world of that name; raise UserError, with the nearest valid name, if there is none."""
    if name not in WORLDS:
        raise UserError(unknown("there is no world", name, WORLDS))
    return import_module(WORLDS[name]).WORLD


def draw_scene(world: World, seed: int, image_id: str, prior: Prior | None = None) -> Scene:
    """Draw the scene of an image: it depends on seed, image id and prior alone, and its nuisance not on the prior.

    prior: the joint distribution of the concepts; without one they are independent and uniform.
    """
    prior = prior or Prior.from_options(None, world.concepts)
    if prior.concepts != world.concepts:
        names = ", ".join(concept.name for concept in prior.concepts)
        raise UserError(f'the prior is over the concepts {names}, which are not those of the world "{world.name}".')
    concepts = prior.draw(stream(seed, image_id, "concepts"))
    return Scene(concepts, world.nuisance(stream(seed, image_id, "nuisance")))


def intervene(world: World, scene: Scene, concept: str, value: int | str) -> Scene:
    """Return the scene with one concept set to a value (index or name) and all else kept.

    Raises UserError, with the nearest valid name, for a concept or value that the world does not have.
    """
    index = find_concept(world.concepts, concept).index(value)
    return Scene({**scene.concepts, concept: index}, scene.nuisance)


def changed_pixels(
    render: Callable[[Scene, int], np.ndarray], concepts: tuple[Concept, ...], scene: Scene, size: int
) -> dict[str, np.ndarray]:
    """Render every intervention and return, per concept, bool (size, size): the pixels that any of them changes.

    This is the definition of a world's parts; it costs one render per other value of each concept.
    """
    original = render(scene, size)
    changed = {concept.name: np.zeros((size, size), bool) for concept in concepts}
    for concept in concepts:
        for value in range(len(concept.values)):
            if value != scene.concepts[concept.name]:
                other = Scene({**scene.concepts, concept.name: value}, scene.nuisance)
                changed[concept.name] |= (render(other, size) != original).any(axis=-1)
    return changed
