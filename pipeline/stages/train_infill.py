"""Train an in-filler of the study and write its weights, images that it fills, and a model card."""

from pathlib import Path

import torch
from torch import Tensor

from pipeline.device import in_batches, pick_device, place
from pipeline.files import appearing
from pipeline.images import encode_png, tile
from pipeline.infill import Infill, load_infill
from pipeline.infill.declared.vae import VaeShape
from pipeline.infill.file import build_network, save_filler
from pipeline.infill.masks import KINDS
from pipeline.infill.train import filling
from pipeline.noise import Noise
from pipeline.stages.common import read_options
from pipeline.stages.generator_card import infill_card
from pipeline.stages.resumable import State, trained
from pipeline.stages.training_data import read_training_data

BATCH, SHOWN = 64, 8
PURPOSE = "test"
BESIDE = ("mean", "local-mean", "blur")
"""In-fillers without weights, by which it is measured."""


def train_infill(name: str, options: str, weights: Path, card: Path, samples: Path) -> None:
    """Train on the split `train`, from where an earlier attempt was stopped; measure on the split `test`.

    samples: images with holes of each kind, written from time to time and at the end.
    """
    recipe = read_options("train_infill", options)
    seen = read_training_data(recipe, "train", recipe.rows).images
    tested = read_training_data(recipe, "test", recipe.tested).images
    divergence = 1 / len(seen) if recipe.divergence is None else recipe.divergence
    with trained(
        name,
        recipe,
        lambda: build_network(recipe.vae),
        seen,
        lambda followed: filling(divergence),
        weights,
        lambda state: show_filled(infill_of(name, recipe.vae, state), tested, recipe.seed, samples),
    ) as (averaged, told):
        save_filler(averaged, weights, recipe.vae, metadata={"training": recipe.model_dump(mode="json")})
        infill = infill_of(name, recipe.vae, averaged)
        show_filled(infill, tested, recipe.seed, samples)
        errors = {each.name: measure(each, tested, recipe.seed) for each in [infill, *map(load_infill, BESIDE)]}
        with appearing(card) as hidden:
            text = infill_card(name, recipe, errors, len(tested), told, weights, infill.network)
            hidden.write_text(text, encoding="utf-8")


def infill_of(name: str, shape: VaeShape, state: State) -> Infill:
    """The in-filler with these weights, on the device of the job."""
    with torch.random.fork_rng():
        network = build_network(shape)
    network.load_state_dict(state)
    place(network.requires_grad_(False), pick_device())
    return Infill(name, network.fill, per_step=True, network=network)


def measure(infill: Infill, images: Tensor, seed: int) -> dict[str, float]:
    """Mean absolute error in the holes of each kind of mask, in grey levels of 255; images: uint8 (N, 3, H, W)."""
    errors = {}
    for kind in KINDS:
        keep = masks_of(kind, images, seed)

        def erring(rows: Tensor, keep: Tensor) -> Tensor:
            clean, kept = (each.to(pick_device()) for each in (images[rows.cpu()].float() / 255, keep))
            filled = infill(with_holes(clean, kept), kept, noise=noise_of(rows.tolist(), seed))
            return ((filled - clean).abs() * (1 - kept)).flatten(1).sum(1)

        found = in_batches(erring, torch.arange(len(images)), keep, batch_size=BATCH, device=pick_device())
        errors[kind] = float(found.sum() / (1 - keep).sum() / images.shape[1] * 255)
    return errors


def with_holes(images: Tensor, keep: Tensor) -> Tensor:
    """Images (N, 3, H, W) whose holes have the mean colour of what is kept, so that nobody sees what they hide."""
    colours = (images * keep).sum((2, 3), keepdim=True) / keep.sum((2, 3), keepdim=True).clamp_min(1)
    return torch.where(keep > 0.5, images, colours)


def masks_of(kind: str, images: Tensor, seed: int) -> Tensor:
    """A mask of one kind for each image: (N, 1, H, W), 1 for kept."""
    drawn = KINDS[kind](len(images), *images.shape[-2:], torch.Generator().manual_seed(seed))
    return (~drawn).float()[:, None]


def noise_of(rows: list[int], seed: int) -> Noise:
    return Noise(seed, [f"test-{row:06d}" for row in rows], PURPOSE).to(pick_device())


def show_filled(infill: Infill, images: Tensor, seed: int, path: Path) -> None:
    """Write a grid: in pairs of rows, images with holes of each kind, and what is filled in."""
    shown, rows = (images[:SHOWN].float() / 255).to(pick_device()), []
    for kind in KINDS:
        keep = masks_of(kind, images[:SHOWN], seed).to(shown)
        filled = infill(with_holes(shown, keep), keep, noise=noise_of(list(range(len(shown))), seed))
        rows += [*with_holes(shown, keep), *torch.where(keep > 0.5, shown, filled)]
    pixels = (torch.stack(rows) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    with appearing(path) as hidden:
        hidden.write_bytes(encode_png(tile(list(pixels), len(shown))))
