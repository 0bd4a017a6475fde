"""A long training that can be killed: it goes on from a file that it writes every few minutes."""

import time
from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from pipeline.diffusion.train import AfterStep, Progress
from pipeline.files import appearing
from pipeline.progress import bar

SAVE_EVERY, SHOW_EVERY = 180.0, 600.0  # seconds

State = dict[str, Tensor]


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
