"""A training that can be killed, of every kind of network: it goes on where it stopped and ends in the same weights."""

from pathlib import Path

import pytest
import torch

from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.train import autoencoding, denoising, guiding
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.infill.file import build_network
from pipeline.infill.train import filling
from pipeline.stages import resumable
from pipeline.stages.resumable import progress_file, trained
from pipeline.study.training import AutoencoderRecipe, GeneratorRecipe, GuideTraining, InfillTraining

UNET = {"channels": 32, "multipliers": [1, 1], "blocks": 1, "attention": [], "head_channels": 32}
AUTOENCODER = {"channels": 32, "multipliers": [1], "encoder_multipliers": [1], "blocks": 1, "semantic": 8}
SHARED = {"dataset": {"digits": "scikit-learn", "size": 8}, "steps": 4, "batch_size": 4}
IMAGES = torch.randint(256, (8, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
SCHEDULE = full_schedule("linear", 25)
KINDS = {
    "generator": (
        GeneratorRecipe(**SHARED, unet=UNET),
        lambda recipe: UNet(recipe.unet.shape(8, 6)),
        lambda followed: denoising(followed, SCHEDULE),
    ),
    "guide": (
        GuideTraining(**SHARED, noisy_classifier=UNET, task="digit"),
        lambda recipe: NoisyClassifier(recipe.noisy_classifier.shape(8, 2)),
        lambda followed: guiding(SCHEDULE, torch.arange(8) % 2),
    ),
    "autoencoder": (
        AutoencoderRecipe(**SHARED, autoencoder=AUTOENCODER),
        lambda recipe: DiffusionAutoencoder(recipe.autoencoder.shape(8, 3)),
        lambda followed: autoencoding(followed, SCHEDULE),
    ),
    "in-filler": (
        InfillTraining(**SHARED, vae={"channels": 4}),
        lambda recipe: build_network(recipe.vae),
        lambda followed: filling(1e-3),
    ),
}


def training(folder: Path, kind="generator", show=lambda averaged: None, **changes):
    """The small training of a kind of network, perhaps by another recipe."""
    recipe, network, loss_of = KINDS[kind]
    recipe = recipe.model_copy(update=changes)
    return trained("net", recipe, lambda: network(recipe), IMAGES, loss_of, folder / "net.safetensors", show)


def finished(*arguments, **changes):
    with training(*arguments, **changes) as (averaged, told):
        assert told["images"] == len(IMAGES) and told["seconds"] >= 0
        return averaged


class Killed(BaseException):
    """As what ends a process."""


def kill(folder: Path, kind: str, monkeypatch) -> Path:
    """Begin a training that saves after every step and ends as if killed in the second; returns what it saved."""
    save = resumable.save

    def save_and_die(progress, path):
        save(progress, path)
        if progress.step == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(resumable, "SAVE_EVERY", 0.0)
        patched.setattr(resumable, "save", save_and_die)
        with pytest.raises(Killed):
            finished(folder, kind)
    return progress_file(folder / "net.safetensors")


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_goes_on_and_ends_in_the_same_weights(kind, tmp_path, monkeypatch, capsys):
    path = kill(tmp_path, kind, monkeypatch)
    assert [path] == list(tmp_path.iterdir()) and torch.load(path, weights_only=True)["step"] == 2
    went_on = finished(tmp_path, kind)
    assert "starting anew" not in capsys.readouterr().out and not path.exists()
    assert equal(went_on, finished(tmp_path, kind))


def test_progress_of_another_recipe_is_told_and_not_used(tmp_path, monkeypatch, capsys):
    kill(tmp_path, "generator", monkeypatch)
    other = finished(tmp_path, seed=8)
    assert "net.progress.pt is of another recipe: starting anew" in capsys.readouterr().out
    assert equal(other, finished(tmp_path, seed=8)) and not equal(other, finished(tmp_path))


def test_progress_is_kept_until_the_weights_are_written(tmp_path):
    with pytest.raises(OSError, match="disk"), training(tmp_path):
        raise OSError("the disk is full")
    assert torch.load(progress_file(tmp_path / "net.safetensors"), weights_only=True)["step"] == 4


def test_what_it_has_learnt_is_shown_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "SHOW_EVERY", 0.0)
    shown = []
    finished(tmp_path, show=shown.append)
    assert len(shown) == 4  # after each step
