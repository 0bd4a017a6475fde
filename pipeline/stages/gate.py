"""Hold images of a trained diffusion model against its training images, and write its model card."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches, pick_device, place
from pipeline.diffusion.load import load_generator
from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.metrics.features import ClassifierFeatures, features_of
from pipeline.metrics.generated import (
    ConceptFigures,
    Neighbours,
    Quality,
    find_neighbours,
    read_concept,
)
from pipeline.metrics.realism import kernel_distance
from pipeline.progress import bar
from pipeline.stages.common import read_options
from pipeline.stages.generator_card import generator_card
from pipeline.stages.train_generator import draw, write_grid
from pipeline.stages.training_data import TrainingData, read_training_data

NEAREST, SHOWN = 3, 8
BATCH = 128


def gate(name: str, options: str, weights: Path, record: Path, card: Path, neighbours: Path) -> None:
    """Draw images, measure them, and write the model card.

    record: what the training noted. neighbours: a picture of the images that are nearest to training images, each with
    the nearest of these.
    """
    chosen = read_options("gate", options)
    recipe, measured = chosen.recipe, chosen.gate
    denoiser = load_generator(name, {"file": str(weights)}, "unet")
    place(denoiser.network, pick_device())
    readers = {reader: load(reader, chosen.networks) for reader in measured.readers}
    tasks = list(dict.fromkeys(task for reader in readers.values() for task in reader.heads))
    seen = read_training_data(recipe, "train", recipe.rows, tasks)
    fresh = read_training_data(recipe, "test", measured.samples, tasks)  # as many as are drawn, or all there are
    with bar(f"draw {name}", measured.samples) as progress:
        drawn = draw(name, denoiser, recipe.seed, measured.samples, measured.steps, progress.advance)
    features = measured.features and ClassifierFeatures(load(measured.features, chosen.networks))
    quality = measure(drawn, seen, fresh, readers, features, measured.steps, recipe.seed)
    show_neighbours(neighbours, drawn, seen.images, quality.features or quality.pixels)
    told = {**json.loads(record.read_text(encoding="utf-8")), "images": len(seen.images)}
    text = generator_card(name, recipe, quality, told, weights, denoiser.network)
    with appearing(card) as hidden:
        hidden.write_text(text, encoding="utf-8")


def load(name: str, entries: dict[str, Any]) -> Classifier:
    """A network that measures, where it computes."""
    return place(load_classifier(name, entries[name]), pick_device())


def measure(
    drawn: Tensor,
    seen: TrainingData,
    fresh: TrainingData,
    readers: dict[str, Classifier],
    features: ClassifierFeatures | None,
    steps: int,
    seed: int,
) -> Quality:
    """All that can be said of images, uint8 (N, 3, H, W), that a model draws, beside those that it was trained on."""
    concepts = read_concepts(drawn, seen, fresh, readers)
    with bar("compare pixels", 2 * len(seen.images)) as progress:
        pixels = find_neighbours(drawn, fresh.images, seen.images, NEAREST, progress.advance)
    if features is None:
        return Quality(len(drawn), steps, pixels, concepts)
    of_drawn, of_fresh, of_seen = (vectors(features, images) for images in (drawn, fresh.images, seen.images))
    near = find_neighbours(*(torch.from_numpy(each) for each in (of_drawn, of_fresh, of_seen)), NEAREST)
    distance = kernel_distance(of_drawn, of_fresh, seed=seed).value
    control = kernel_distance(of_seen[: len(of_drawn)], of_fresh, seed=seed).value
    return Quality(len(drawn), steps, pixels, concepts, near, distance, control, features.name)


def read_concepts(
    drawn: Tensor, seen: TrainingData, fresh: TrainingData, readers: dict[str, Classifier]
) -> dict[str, ConceptFigures]:
    """What the readers see of each concept that they name."""
    of_drawn = {name: answers(reader, drawn) for name, reader in readers.items()}
    of_fresh = {name: answers(reader, fresh.images) for name, reader in readers.items()}
    concepts = {}
    for column, (task, values) in enumerate(seen.heads.items()):
        naming = [name for name, reader in readers.items() if task in reader.heads]
        for name in naming:
            if readers[name].heads[task].classes != values:
                raise UserError(
                    f"reader '{name}' names the values of {task} {', '.join(readers[name].heads[task].classes)}, and"
                    f" the images have {', '.join(values)}; use a reader that was trained on such images."
                )
        expected = np.bincount(seen.labels[:, column].numpy(), minlength=len(values)) / len(seen.labels)
        concepts[task] = read_concept(
            values,
            {name: of_drawn[name][task] for name in naming},
            {name: of_fresh[name][task] for name in naming},
            fresh.labels[:, column].numpy(),
            expected,
        )
    return concepts


def answers(reader: Classifier, images: Tensor) -> dict[str, np.ndarray]:
    """The value (N,) that a reader names of each of its tasks in images, uint8 (N, 3, H, W)."""
    with torch.no_grad():
        logits = in_batches(lambda batch: reader(batch.float() / 255), images, batch_size=BATCH, device=pick_device())
    return {task: logits[:, head.columns].argmax(1).numpy() for task, head in reader.heads.items()}


def vectors(features: ClassifierFeatures, images: Tensor) -> np.ndarray:
    """Features (N, D) of images, uint8 (N, 3, H, W)."""
    return np.concatenate([features_of(features, batch.float() / 255) for batch in images.split(1024)])


def show_neighbours(path: Path, drawn: Tensor, seen: Tensor, neighbours: Neighbours) -> None:
    """Write the drawn images that are nearest to training images, a row each: the image and its nearest ones."""
    closest = np.argsort(neighbours.generated, kind="stable")[:SHOWN]
    rows = [torch.cat([drawn[index][None], seen[neighbours.nearest[index]]]) for index in closest]
    write_grid(path, torch.cat(rows), 1 + neighbours.nearest.shape[1])
