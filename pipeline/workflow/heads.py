"""What networks and generators are, as far as that is known before they are loaded. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.classifiers import description
from pipeline.diffusion.description import Description, read_description
from pipeline.diffusion.entry import Generator
from pipeline.entry import parse_entry
from pipeline.study.training import COLOURS, DiffusionTraining, GuideTraining
from pipeline.worlds import load_world

if TYPE_CHECKING:
    from pipeline.workflow.plan import Plan

OURS = ".safetensors"

Heads = dict[str, Sequence[str] | None]


def classes_of(plan: Plan, network: str) -> Heads:
    """Class names by task of a network of the study, None where only the task is known; empty where nothing tells.

    By its entry, the description in a file of ours, or the recipe by which it is to be trained. Raises UserError for a
    file that is none of ours.
    """
    entry = plan.entry(network)
    heads = dict(described(network, entry, plan.study.training.get(plan.networks[network].trained or "")))
    task = entry.get("task")
    return {task: heads.get(task)} if task and len(heads) > 1 else heads


def described(name: str, entry: dict[str, Any], recipe: Any) -> Iterator[tuple[str, Sequence[str] | None]]:
    classes, task = entry.get("classes"), entry.get("task") or "label"
    file, noisy = Path(entry.get("file") or ""), Path(entry.get("noisy_classifier") or "")
    if isinstance(classes, dict):
        yield from classes.items()
    elif classes:
        yield task, classes
    elif file.is_file():
        yield from description.read_description(file, name)["heads"].items()
    elif noisy.is_file() and noisy.suffix == OURS and not entry.get("preset") and not entry.get("shape"):
        yield task, read_description(noisy, f"classifier '{name}'").classes
    elif recipe is not None:
        yield from ((each, classes_in(recipe.dataset, each)) for each in recipe.tasks)


def classes_in(dataset: Any, task: str) -> Sequence[str] | None:
    """The classes of a task of a dataset, if it is a world: other datasets tell once they are read."""
    world = getattr(dataset, "world", None)
    return load_world(world).tasks.get(task) if world else None


def description_of(plan: Plan, generator: str) -> Description | None:
    """What a generator of the study is, or None where only its weights tell, or they are still to come.

    Raises UserError for a file that is none of ours.
    """
    entry, recipe = parse_entry(Generator, generator, plan.entry(generator)), plan.generators[generator].trained
    if entry.format == "checkpoint":
        return entry.described()
    if entry.format == "file" and Path(entry.source).is_file():
        return read_description(Path(entry.source), entry.owner)
    return described_by(plan.study.training[recipe]) if recipe else None


def described_by(recipe: DiffusionTraining) -> Description:
    """What a generator will be that is still to be trained."""
    guides = isinstance(recipe, GuideTraining)
    classes = classes_in(recipe.dataset, recipe.task) if guides else None
    shape = recipe.network.shape(recipe.dataset.size, len(classes) if classes else COLOURS)
    return Description(recipe.kind, shape, recipe.schedule.model_dump(), classes=classes)
