"""Images of a synthetic world: rendered when they are asked for, without end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

from pipeline.datasets.source import Lazily, Sample, Source
from pipeline.datasets.splits import check_split
from pipeline.datasets.transform import tight_box
from pipeline.errors import UserError
from pipeline.worlds import draw_scene, load_world
from pipeline.worlds.prior import Prior

SMALLEST_SIZE = 8
LARGEST_SIZE = 1024


def read(options: Mapping, split: str, seed: int) -> Source:
    """The images of a world in one split: "portraits-test-000012" is the thirteenth of the test split, for ever.

    An image depends on world, prior, size, seed and its id alone; the split is part of the id. UserError for an unknown
    world, a size that cannot be drawn, or a prior that names what the world does not have.
    """
    check_split(split)
    world, size = load_world(options["world"]), options["size"]
    if not isinstance(size, int) or not SMALLEST_SIZE <= size <= LARGEST_SIZE:
        raise UserError(
            f"dataset.size is {size}; a world is drawn at {SMALLEST_SIZE} to {LARGEST_SIZE} pixels a side, such as 64."
        )
    prior = Prior.from_options(options["prior"], world.concepts)

    def ids() -> Iterator[str]:
        return (f"{world.name}-{split}-{index:06d}" for index in count())

    def labels(image_id: str) -> dict[str, int | None]:
        return dict(world.labels(draw_scene(world, seed, image_id, prior).concepts))

    def render(image_id: str) -> Sample:
        scene = draw_scene(world, seed, image_id, prior)
        parts = world.parts(scene, size)
        boxes = [tight_box(mask, concept) for concept, mask in parts.items()]
        return Sample(
            image_id,
            world.render(scene, size),
            attributes=dict(world.labels(scene.concepts)),
            caption=world.caption(scene),
            concepts=dict(scene.concepts),
            nuisance=dict(scene.nuisance),
            parts=parts,
            boxes=[box for box in boxes if box is not None],
            seed=seed,
        )

    name = f"the world {world.name} (split {split})"
    return Source(name, dict(world.tasks), Lazily(ids), labels, render, endless=True)


def manifest(options: Mapping) -> str:
    """A world reads no files: its manifest is empty."""
    return "[]\n"
