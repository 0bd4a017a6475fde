"""A long training that can be killed: it goes on from a file that it writes every few minutes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.costs import device_name
from pipeline.device import pick_device
from pipeline.diffusion.train import AfterStep, LossOf, Progress, Recipe, follow_recipe
from pipeline.files import appearing
from pipeline.fingerprint import digest
from pipeline.progress import bar
from pipeline.section import Section

SAVE_EVERY, SHOW_EVERY = 180.0, 600.0  # seconds

State = dict[str, Tensor]


@contextmanager
def trained(
    name: str,
    recipe: Section,
    network: Callable[[], nn.Module],
    images: Tensor,
    loss_of: Callable[[Recipe], LossOf],
    weights: Path,
    show: Callable[[State], None] = lambda averaged: None,
) -> Iterator[tuple[State, dict[str, Any]]]:
    """The averaged weights that a recipe of a study leads to, and its record, for whoever writes them to `weights`.

    Trains from where an earlier attempt was stopped; how far it has come is forgotten once the weights are written.
    network: makes it, from first weights that the seed decides. images: uint8 (N, 3, H, W). show: called with the
    averaged weights from time to time. The record: "seconds" and "device" of the training, and "images", how many.
    """
    torch.manual_seed(recipe.seed)
    followed, path = followed_by(recipe), progress_file(weights)
    identity = digest(recipe.model_dump(mode="json"))
    progress = Progress(network().to(pick_device()), followed, recipe.seed, identity)
    loss = loss_of(followed)
    averaged = train_resumably(
        name, progress, path, lambda after_step: follow_recipe(progress, images, loss, after_step), show
    )
    yield averaged, {"seconds": round(progress.seconds), "device": device_name(pick_device()), "images": len(images)}
    path.unlink(missing_ok=True)


def followed_by(recipe: Section) -> Recipe:
    """What the steps of a training follow, of all that a recipe of a study says."""
    return Recipe(**{each.name: getattr(recipe, each.name) for each in fields(Recipe) if hasattr(recipe, each.name)})


def progress_file(weights: Path) -> Path:
    """Where the training of these weights keeps how far it has come, until they are written."""
    return weights.with_suffix(".progress.pt")


def train_resumably(
    name: str,
    progress: Progress,
    path: Path,
    train: Callable[[AfterStep], State],
    show: Callable[[State], None] = lambda averaged: None,
) -> State:
    """Train to the end, from where an earlier attempt was stopped; returns the averaged weights.

    path: file of progress; whoever has written the weights removes it. One of another recipe is told and written over.
    train: takes what to do after each step. show: called with the averaged weights from time to time.
    """
    if path.exists() and not progress.load(path):
        print(f"train {name}  {path} is of another recipe: starting anew", flush=True)
    before, begun = progress.seconds, time.monotonic()
    last = {"saved": begun, "shown": begun}
    with bar(f"train {name}", progress.recipe.steps * progress.recipe.batch_size) as images:
        images.advance(progress.step * progress.recipe.batch_size)

        def after_step(progress: Progress, loss: float) -> None:
            now = time.monotonic()
            progress.seconds = before + now - begun
            images.advance(progress.recipe.batch_size)
            if now - last["saved"] >= SAVE_EVERY or progress.step == progress.recipe.steps:
                save(progress, path)
                last["saved"] = now
            if now - last["shown"] >= SHOW_EVERY:
                show(progress.averaged)
                last["shown"] = now

        return train(after_step)


def save(progress: Progress, path: Path) -> None:
    """Write the file of progress, whole or not at all."""
    with appearing(path) as hidden:
        progress.save(hidden)
