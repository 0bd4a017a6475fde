"""Train a network of the study and write its weights with a model card."""

import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.classifiers import train as training
from pipeline.classifiers.card import model_card
from pipeline.classifiers.file import build_network, save_classifier
from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.costs import device_name
from pipeline.device import pick_device
from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.metrics.truth import intervention_effect
from pipeline.progress import bar
from pipeline.section import Section
from pipeline.stages.common import read_options
from pipeline.stages.training_data import TrainingData, pixels, read_training_data
from pipeline.worlds import intervene, load_world

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
INTERVENED = 500


def train(name: str, options: str, weights: Path, card: Path) -> None:
    """Train on the split `train`, calibrate on images held out from it, measure on the split `test`."""
    recipe = read_options("train", options)
    seen, held_out = split_training_data(recipe)
    if not hasattr(recipe.dataset, "world"):
        read_training_data(recipe, "test", 1, recipe.tasks)  # an empty split is better known before training
    recipe = recipe.model_copy(update={"rows": len(seen.images)})
    start = time.monotonic()
    network = train_network(name, recipe, seen)
    seconds = time.monotonic() - start
    publish(name, recipe, network, held_out, seconds, weights, card)


def split_training_data(recipe: Section) -> tuple[TrainingData, TrainingData]:
    """The images to train on, and further ones to calibrate on: a tenth where the data is finite."""
    rows = recipe.rows
    held_out = recipe.held_out if hasattr(recipe.dataset, "world") else (rows or 0) // 9
    data = read_training_data(recipe, "train", None if rows is None else rows + held_out, recipe.tasks)
    there = len(data.images)
    if rows is None:
        held_out = there // 10
    elif there < rows + held_out:
        raise UserError(
            f"training.rows is {rows}, and {held_out} more images are held out, but the split train has {there};"
            f" set rows to {there * 9 // 10} or less, or leave it out to take them all."
        )
    return data.rows(0, there - held_out), data.rows(there - held_out, there)


def train_network(name: str, recipe: Section, data: TrainingData) -> nn.Module:
    """Train from first weights that the seed decides."""
    torch.manual_seed(recipe.seed)
    network = build_network(recipe.architecture, recipe.options, data.heads, name).to(pick_device())
    followed = training.Recipe(
        **{each.name: getattr(recipe, each.name) for each in fields(training.Recipe) if hasattr(recipe, each.name)}
    )
    if recipe.steps == 0:
        return network.eval()
    with bar(f"train {name}", recipe.steps * recipe.batch_size) as progress:
        return training.train_network(
            network,
            data.images,
            data.labels,
            data.columns,
            followed,
            mean=torch.tensor(MEAN),
            std=torch.tensor(STD),
            seed=recipe.seed,
            advance=lambda steps: progress.advance(steps * recipe.batch_size),
        )


def publish(
    name: str,
    recipe: Section,
    network: nn.Module,
    held_out: TrainingData,
    seconds: float,
    weights: Path,
    card: Path,
) -> None:
    """Calibrate, save and measure a trained network, and write its card."""
    temperature = dict.fromkeys(held_out.heads, 1.0)
    if recipe.steps and len(held_out.images):
        with torch.inference_mode():
            normalised = (held_out.images.float() / 255 - 0.5) / 0.25
            logits = torch.cat([network(batch) for batch in normalised.to(pick_device()).split(256)]).cpu()
        temperature = {
            task: training.calibrate(logits[:, columns], held_out.labels[:, index])
            for index, (task, columns) in enumerate(held_out.columns.items())
        }
    save_classifier(
        network,
        weights,
        architecture=recipe.architecture,
        options=recipe.options,
        heads=held_out.heads,
        size=side(held_out.images),
        mean=MEAN,
        std=STD,
        temperature=temperature,
        extra_metadata={"training": recipe.model_dump(mode="json", exclude={"architecture", "options"})},
    )
    classifier = load_classifier(name, {"file": str(weights)}).to(pick_device())
    figures = measure(classifier, recipe)
    text = model_card(name, recipe, figures, seconds=seconds, device=device_name(pick_device()), weights=weights)
    with appearing(card) as hidden:
        hidden.write_text(text, encoding="utf-8")


def side(images: torch.Tensor) -> int | None:
    """The side of square images (N, 3, H, W); None for others, which a network must then take as they are."""
    height, width = images.shape[2:]
    return height if height == width else None


def measure(classifier: Classifier, recipe: Section) -> dict[str, Any]:
    """Quality on images that training never saw; of a classifier of a world's task also what it depends on."""
    tested = read_training_data(recipe, "test", recipe.tested, recipe.tasks, as_trained=False)
    answer = answering(classifier)
    quality = training.measure(
        answer, tested.images, tested.labels, tested.columns, epsilon=recipe.epsilon, attack_steps=20
    )
    figures: dict[str, Any] = {"quality": quality}
    if getattr(recipe.dataset, "prior", None) or recipe.relabel:
        biased = read_training_data(recipe, "test", recipe.tested, recipe.tasks)
        figures["as_trained"] = training.measure(answer, biased.images, biased.labels, biased.columns)
    if tested.scenes and len(tested.heads) == 1:
        figures["flips"] = flip_rates(classifier, tested.rows(0, INTERVENED), recipe.dataset)
    return figures


def answering(classifier: Classifier) -> Callable[[torch.Tensor], torch.Tensor]:
    """The classifier as a function of images on the CPU, whatever device it computes on."""
    device = classifier.mean.device
    return lambda images: classifier(images.to(device)).cpu()


def flip_rates(classifier: Classifier, data: TrainingData, dataset: Section) -> dict[str, float]:
    """Share of images whose decision changes with some other value of each concept."""
    world, answer = load_world(dataset.world), answering(classifier)
    with torch.inference_mode():
        before = torch.cat([answer(batch.float() / 255) for batch in data.images.split(250)]).numpy()
        rates = {}
        for concept in world.concepts:
            after = []
            for value in range(len(concept.values)):
                changed = [
                    world.render(intervene(world, scene, concept.name, value), dataset.size) for scene in data.scenes
                ]
                after.append(torch.cat([answer(batch.float() / 255) for batch in pixels(changed).split(250)]).numpy())
            effects = [intervention_effect(one, others) for one, others in zip(before, np.stack(after, 1), strict=True)]
            rates[concept.name] = float(np.mean([effect.flips for effect in effects]))
    return rates
