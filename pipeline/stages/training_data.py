"""Images and labels to train and measure a network on, from any dataset."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.classifiers.wrap import side_by_side
from pipeline.datasets import open_dataset
from pipeline.errors import UserError
from pipeline.section import Section
from pipeline.worlds import Scene, World, draw_scene, load_world
from pipeline.worlds.prior import Prior

NUISANCE_CLASSES = tuple("12345")  # a nuisance number as a task: fifths of its range


@dataclass(frozen=True)
class TrainingData:
    """images: uint8 (N, 3, H, W); labels: int64 (N, tasks); heads: class names by task; scenes: of a world's images."""

    images: Tensor
    labels: Tensor
    heads: dict[str, tuple[str, ...]]
    scenes: tuple[Scene, ...] = ()

    @property
    def columns(self) -> dict[str, slice]:
        """Columns of the logits of each task."""
        return {task: head.columns for task, head in side_by_side(self.heads).items()}

    def rows(self, start: int, stop: int) -> "TrainingData":
        """The images from `start` up to `stop`."""
        return TrainingData(
            self.images[start:stop], self.labels[start:stop], self.heads, tuple(self.scenes[start:stop])
        )


def read_training_data(
    recipe: Section, split: str, rows: int | None, tasks: Sequence[str] = (), *, as_trained: bool = True
) -> TrainingData:
    """Read the first rows (all, if None) of a split of the dataset that a network is trained on, with labels of tasks.

    recipe: of any network; that of a classifier may plant a shortcut. as_trained: with prior and planted shortcut;
    without, concepts are independent and labels true. Raises UserError for a task that the dataset does not have, a
    split without labelled images, images of different sizes, and a planted shortcut where the concepts are not known.
    """
    planted = getattr(recipe, "relabel", None)
    if hasattr(recipe.dataset, "world"):
        prior, planted = (recipe.dataset.prior, planted) if as_trained else (None, None)
        return world_data(recipe, split, rows, tasks, prior and prior.model_dump(), planted and planted.model_dump())
    if planted:
        raise UserError("relabel plants a shortcut between the concepts of a world; leave it out for other images.")
    source = open_dataset(recipe.dataset.model_dump(mode="json"), split, recipe.seed)
    for task in tasks:
        if task not in source.tasks:
            raise UserError(f"{source.name} has no task '{task}' to train on; its tasks are {', '.join(source.tasks)}.")
    samples = (source.read(image_id) for image_id in source.ids)
    labelled = (
        sample
        for sample in samples
        if sample.image is not None and all(sample.attributes.get(task) is not None for task in tasks)
    )
    taken = list(islice(labelled, rows))
    if not taken:
        kind = "labelled images" if tasks else "images"
        raise UserError(f"{source.name} has no {kind}; add some, or give that split a larger part in dataset.shares.")
    if len({sample.image.shape for sample in taken}) > 1:
        raise UserError(f"{source.name} has images of different sizes; set size, resize and crop to make them one.")
    return TrainingData(
        pixels([sample.image for sample in taken]),
        label_columns([[sample.attributes[task] for sample in taken] for task in tasks], len(taken)),
        {task: tuple(source.tasks[task]) for task in tasks},
    )


def world_data(
    recipe: Section,
    split: str,
    rows: int | None,
    tasks: Sequence[str],
    prior: dict[str, Any] | None,
    relabel: dict[str, Any] | None,
) -> TrainingData:
    """Images of a world, without the part masks that a study's images have."""
    world, size = load_world(recipe.dataset.world), recipe.dataset.size
    if rows is None:
        raise UserError(f"the world {world.name} has no end; say how many images to train on, such as rows: 12000.")
    distribution = Prior.from_options(prior, world.concepts)
    names = (f"{world.name}-{split}-{index:06d}" for index in range(rows))
    scenes = tuple(draw_scene(world, recipe.seed, name, distribution) for name in names)
    columns = [task_labels(world, task, scenes, relabel) for task in tasks]
    return TrainingData(
        pixels([world.render(scene, size) for scene in scenes]),
        label_columns(columns, rows),
        {task: world.tasks.get(task, NUISANCE_CLASSES) for task in tasks},
        scenes,
    )


def label_columns(columns: list[Any], rows: int) -> Tensor:
    """Labels (rows, tasks), int64; no column without tasks."""
    return torch.from_numpy(np.array(columns, np.int64).reshape(len(columns), rows).T.copy())


def task_labels(world: World, task: str, scenes: tuple[Scene, ...], relabel: dict[str, Any] | None) -> np.ndarray:
    """Labels (N,) of a task, int64; of a nuisance number, the fifth of its range over these scenes."""
    if task in world.tasks:
        return np.array([world.labels(counted_concepts(scene, relabel))[task] for scene in scenes])
    if task not in scenes[0].nuisance:
        raise UserError(
            f"the world {world.name} has no task '{task}'; it has {', '.join([*world.tasks, *scenes[0].nuisance])}."
        )
    values = np.array([scene.nuisance[task] for scene in scenes])
    fifths = (values - values.min()) / np.ptp(values) * len(NUISANCE_CLASSES)
    return np.minimum(fifths.astype(int), len(NUISANCE_CLASSES) - 1)


def counted_concepts(scene: Scene, relabel: dict[str, Any] | None) -> dict[str, int]:
    """The concepts that labels are read from: the scene's own, save where a shortcut is planted."""
    if relabel is None or scene.nuisance[relabel["nuisance"]] >= relabel["below"]:
        return scene.concepts
    return {**scene.concepts, relabel["concept"]: scene.concepts[relabel["by"]]}


def pixels(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()
