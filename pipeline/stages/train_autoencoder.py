"""Train a diffusion autoencoder of the study and write its weights, images that it restores, and a model card."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.device import in_batches, pick_device, place
from pipeline.diffusion.autoencoder import DiffusionAutoencoder, decode, encode
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import load_model, save_model
from pipeline.diffusion.schedule import full_schedule, respaced_by_stride
from pipeline.diffusion.train import autoencoding
from pipeline.files import appearing
from pipeline.metrics.autoencoding import Autoencoding, Probed, linear_auroc, signal_to_noise
from pipeline.progress import bar
from pipeline.stages.common import read_options
from pipeline.stages.generator_card import autoencoder_card
from pipeline.stages.resumable import State, trained
from pipeline.stages.train_generator import write_grid
from pipeline.stages.training_data import TrainingData, read_training_data
from pipeline.study.training import COLOURS, AutoencoderGate, AutoencoderRecipe
from pipeline.worlds import load_world

SHOWN, COLUMNS = 16, 8
BATCH, LOOKED_AT = 16, 128  # images restored, or encoded without their noise, at once


def train_autoencoder(name: str, options: str, weights: Path, samples: Path, card: Path) -> None:
    """Train on the split `train`, from where an earlier attempt was stopped; measure on the split `test`.

    samples: images of that split, restored, written from time to time and at the end.
    """
    chosen = read_options("train_autoencoder", options)
    recipe, described = chosen.recipe, describe(chosen.recipe)
    schedule, shown = full_schedule(**described.schedule), with_concepts(recipe, "test", SHOWN).images
    with trained(
        name,
        recipe,
        lambda: DiffusionAutoencoder(described.shape),
        read_training_data(recipe, "train", recipe.rows).images,
        lambda followed: autoencoding(followed, schedule),
        weights,
        lambda state: show(described, state, shown, chosen.gate.steps, samples),
    ) as (averaged, told):
        write_autoencoder(name, recipe, chosen.gate, averaged, told, weights, samples, card)


def write_autoencoder(
    name: str,
    recipe: AutoencoderRecipe,
    gate: AutoencoderGate,
    state: State,
    record: dict[str, Any],
    weights: Path,
    samples: Path,
    card: Path,
) -> None:
    """Write the weights of a recipe in our own format, images that they restore, and a model card with the gate.

    record: "seconds" and "device" of the training, None where nobody counted, and "images", how many it saw.
    """
    save_model(state, weights, describe(recipe), metadata={"training": recipe.model_dump(mode="json")})
    network, described = load_model(weights, f"generator '{name}'")
    place(network, pick_device())
    fresh = with_concepts(recipe, "test", max(gate.images, gate.tested))
    images, tested = fresh.images[: gate.images], fresh.rows(0, gate.tested)
    with bar(f"restore {name}", len(images)) as progress:
        restored = restore(network, described, images, gate.steps, progress.advance)
    write_pairs(samples, images[:SHOWN], restored[:SHOWN])
    fitted = with_concepts(recipe, "train", min(gate.fitted, recipe.rows or gate.fitted))
    figures = Autoencoding(
        signal_to_noise(images.float() / 255, restored),
        gate.steps,
        probe(network, fitted, tested),
        len(fitted.images),
        len(tested.images),
    )
    with appearing(card) as hidden:
        hidden.write_text(autoencoder_card(name, recipe, figures, record, weights, network), encoding="utf-8")


def with_concepts(recipe: AutoencoderRecipe, split: str, rows: int) -> TrainingData:
    """So many images of a split, or all there are, with the concepts of a world."""
    world = getattr(recipe.dataset, "world", None)
    concepts = [concept.name for concept in load_world(world).concepts] if world else []
    return read_training_data(recipe, split, rows, concepts)


def describe(recipe: AutoencoderRecipe) -> Description:
    """What the weights of a recipe are of."""
    shape = recipe.autoencoder.shape(recipe.dataset.size, COLOURS)
    return Description("autoencoder", shape, recipe.schedule.model_dump(mode="json"), recipe.predicts)


def restore(
    network: DiffusionAutoencoder,
    described: Description,
    images: Tensor,
    steps: int,
    progress: Callable[[int], object] = lambda images: None,
) -> Tensor:
    """Images (N, 3, H, W) in [0, 1], encoded from uint8 ones in so many steps and decoded in as many."""
    schedule = respaced_by_stride(full_schedule(**described.schedule), steps)

    def there_and_back(batch: Tensor) -> Tensor:
        codes = encode(network, batch.float() / 127.5 - 1, schedule, described.predicts)
        return (decode(network, codes, schedule, described.predicts) + 1) / 2

    return in_batches(there_and_back, images, batch_size=BATCH, device=pick_device(), progress=progress)


def probe(network: DiffusionAutoencoder, fitted: TrainingData, tested: TrainingData) -> dict[str, Probed]:
    """What linear probes of the semantic codes tell of each concept."""
    if not fitted.heads:
        return {}
    codes, asked = semantic_codes(network, fitted.images), semantic_codes(network, tested.images)
    return {
        concept: Probed(
            values, linear_auroc(codes, fitted.labels[:, column].numpy(), asked, tested.labels[:, column].numpy())
        )
        for column, (concept, values) in enumerate(fitted.heads.items())
    }


def semantic_codes(network: DiffusionAutoencoder, images: Tensor) -> np.ndarray:
    """Semantic codes (N, L) of images, uint8 (N, 3, H, W)."""
    with torch.no_grad():
        codes = in_batches(
            lambda batch: network.encoder(batch.float() / 127.5 - 1), images, batch_size=LOOKED_AT, device=pick_device()
        )
    return codes.numpy()


def show(described: Description, state: State, images: Tensor, steps: int, path: Path) -> None:
    """Write images, uint8 (N, 3, H, W), and what a network with these weights restores of them."""
    with torch.random.fork_rng():
        network = DiffusionAutoencoder(described.shape)
    network.load_state_dict(state)
    place(network.requires_grad_(False), pick_device())
    write_pairs(path, images, restore(network, described, images, steps))


def write_pairs(path: Path, images: Tensor, restored: Tensor) -> None:
    """Write a grid of full rows: images, uint8 (N, 3, H, W), and below each row those in [0, 1] restored of them."""
    columns = min(COLUMNS, len(images))
    rows = zip(images.split(columns), (restored * 255).round().byte().split(columns), strict=True)
    write_grid(path, torch.cat([row for pair in rows for row in pair if len(row) == columns]), columns)
