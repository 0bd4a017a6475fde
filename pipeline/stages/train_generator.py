"""Train a diffusion model of the study; write its weights, images that it draws, and how the training went."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pipeline.device import pick_device
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.samplers import draw_images
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.train import denoising
from pipeline.diffusion.unet import UNet
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.images import encode_png, tile
from pipeline.noise import Noise
from pipeline.stages.common import read_options
from pipeline.stages.resumable import State, trained
from pipeline.stages.training_data import read_training_data
from pipeline.study.training import GeneratorRecipe

PURPOSE = "generate"
SHOWN, COLUMNS, SHOWN_STEPS = 64, 8, 50


def train_generator(name: str, options: str, weights: Path, samples: Path, record: Path) -> None:
    """Train on the split `train`, from where an earlier attempt was stopped, and write the averaged weights.

    samples: a grid of images that the model draws, written from time to time and at the end.
    record: how long it took, and on what.
    """
    recipe = read_options("train_generator", options)
    described = describe(recipe)
    schedule = full_schedule(**described.schedule)
    with trained(
        name,
        recipe,
        lambda: UNet(described.shape),
        read_training_data(recipe, "train", recipe.rows).images,
        lambda followed: denoising(followed, schedule),
        weights,
        lambda state: show_samples(name, described, state, recipe.seed, samples),
    ) as (averaged, told):
        write_generator(name, recipe, averaged, weights, samples)
        write_record(record, told)


def write_generator(name: str, recipe: GeneratorRecipe, state: State, weights: Path, samples: Path) -> None:
    """Write the weights of a recipe in our own format, and a grid of images that they draw."""
    described = describe(recipe)
    save_model(state, weights, described, metadata={"training": recipe.model_dump(mode="json")})
    show_samples(name, described, state, recipe.seed, samples)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Note how long a training took and on what, None where nobody counted."""
    with appearing(path) as hidden:
        hidden.write_text(canonical_json(record) + "\n", encoding="utf-8")


def describe(recipe: GeneratorRecipe) -> Description:
    """What the weights of a recipe are of; the network learns the variance too where it has a weight."""
    shape = recipe.unet.shape(recipe.dataset.size, out_channels=6 if recipe.variance_weight else 3)
    return Description("unet", shape, recipe.schedule.model_dump(mode="json"), recipe.predicts)


def show_samples(name: str, described: Description, state: State, seed: int, path: Path) -> None:
    """Write a grid of images that a network with these weights draws."""
    with torch.random.fork_rng():
        network = UNet(described.shape).to(pick_device())
    network.load_state_dict(state)
    schedule = full_schedule(**described.schedule)
    denoiser = Denoiser(network.requires_grad_(False).eval(), schedule, described.predicts)
    drawn = draw(name, denoiser, seed, SHOWN, min(SHOWN_STEPS, len(schedule)))
    write_grid(path, drawn, COLUMNS)


def draw(
    name: str,
    denoiser: Denoiser,
    seed: int,
    count: int,
    steps: int,
    progress: Callable[[int], object] = lambda images: None,
) -> torch.Tensor:
    """Images, uint8 (N, 3, H, W), each from a noise of its own."""
    noise = Noise(seed, [f"{name}-{index:06d}" for index in range(count)], PURPOSE)
    return draw_images(denoiser, noise, steps=steps, device=pick_device(), progress=progress)


def write_grid(path: Path, images: torch.Tensor, columns: int) -> None:
    """Write images, uint8 (N, 3, H, W), as one PNG."""
    with appearing(path) as hidden:
        hidden.write_bytes(encode_png(tile(list(images.permute(0, 2, 3, 1).numpy()), columns)))
