"""Train a classifier of noised images of the study and write its weights with a model card."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.device import in_batches, pick_device
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import load_model, save_model
from pipeline.diffusion.schedule import Schedule, full_schedule
from pipeline.diffusion.train import guiding, noised_at
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.files import appearing
from pipeline.noise import Noise
from pipeline.stages.common import read_options
from pipeline.stages.generator_card import guide_card
from pipeline.stages.resumable import State, trained
from pipeline.stages.training_data import TrainingData, read_training_data
from pipeline.study.training import GuideTraining

PARTS, BATCH = 10, 128
PURPOSE = "test"


def train_guide(name: str, options: str, weights: Path, card: Path) -> None:
    """Train on the split `train`, from where an earlier attempt was stopped; measure on the split `test`."""
    recipe = read_options("train_guide", options)
    seen = labelled(recipe, "train", recipe.rows)
    described = describe(recipe, seen.heads[recipe.task])
    schedule = full_schedule(**described.schedule)
    with trained(
        name,
        recipe,
        lambda: NoisyClassifier(described.shape),
        seen.images,
        lambda followed: guiding(schedule, seen.labels[:, 0]),
        weights,
    ) as (averaged, told):
        write_guide(name, recipe, averaged, labelled(recipe, "test", recipe.tested), told, weights, card)


def write_guide(
    name: str,
    recipe: GuideTraining,
    state: State,
    tested: TrainingData,
    record: dict[str, Any],
    weights: Path,
    card: Path,
) -> None:
    """Write the weights of a recipe in our own format, and a model card with what they read right.

    record: "seconds" and "device" of the training, None where nobody counted, and "images", how many it saw.
    """
    described = describe(recipe, tested.heads[recipe.task])
    save_model(state, weights, described, metadata={"training": recipe.model_dump(mode="json")})
    network, _ = load_model(weights, f"generator '{name}'")
    schedule = full_schedule(**described.schedule)
    accuracy = measure(network.to(pick_device()), tested, schedule, recipe.seed)
    with appearing(card) as hidden:
        text = guide_card(name, recipe, accuracy, len(tested.images), record, weights, network)
        hidden.write_text(text, encoding="utf-8")


def labelled(recipe: GuideTraining, split: str, rows: int | None) -> TrainingData:
    """Images of a split with the labels of the recipe's task."""
    return read_training_data(recipe, split, rows, [recipe.task])


def describe(recipe: GuideTraining, classes: tuple[str, ...]) -> Description:
    """What the weights of a recipe are of."""
    shape = recipe.noisy_classifier.shape(recipe.dataset.size, len(classes))
    return Description("noisy-classifier", shape, recipe.schedule.model_dump(mode="json"), classes=classes)


def measure(network: nn.Module, tested: TrainingData, schedule: Schedule, seed: int) -> list[tuple[str, float]]:
    """Share of images that are read right, for each part of the schedule from the cleanest to the noisiest."""
    noise = Noise(seed, [f"test-{index:06d}" for index in range(len(tested.images))], PURPOSE)
    fresh, places = noise.normal(0, tested.images.shape[1:]), noise.uniform(1, ())
    accuracy = []
    for part in range(min(PARTS, len(schedule))):
        low, high = (len(schedule) * edge // min(PARTS, len(schedule)) for edge in (part, part + 1))
        steps = (low + places * (high - low)).long()

        def read(images: Tensor, fresh: Tensor, steps: Tensor) -> Tensor:
            with torch.no_grad():
                _, noised, timesteps = noised_at(steps.cpu(), images.float() / 127.5 - 1, fresh, schedule)
                return network(noised, timesteps).argmax(1)

        found = in_batches(read, tested.images, fresh, steps, batch_size=BATCH, device=pick_device())
        accuracy.append((f"{low:,} to {high - 1:,}", float((found == tested.labels[:, 0]).float().mean())))
    return accuracy
