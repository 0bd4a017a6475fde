"""The networks that ship keep what their model cards promise, on images that their training never saw."""

import functools
import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.classifiers.load import load_classifier
from pipeline.diffusion.autoencoder import Codes, decode, encode
from pipeline.diffusion.file import load_model
from pipeline.diffusion.load import load_generator
from pipeline.diffusion.schedule import full_schedule, respaced_by_stride
from pipeline.metrics.autoencoding import signal_to_noise
from pipeline.study import SHIPPED, SHIPPED_GENERATORS
from pipeline.worlds import draw_scene, intervene, load_world

WORLD = load_world("portraits")
SCENES = [draw_scene(WORLD, 77, f"portraits-test-{index:06d}") for index in range(60)]
SMILE = ("smile-cnn", "smile-vit", "smile-robust", "smile-shortcut", "random")
LOOK = ("look-cnn", "look-vit", "look-robust", "look-weak", "look-shortcut")
READERS = ("concepts", "concepts-b")
EVERY = (*SMILE, *LOOK, *READERS, "portraits-features")


@functools.cache
def shipped(name):
    return load_classifier(name, {"file": str(SHIPPED / f"{name}.safetensors")})


@functools.cache
def images(concept=None, value=None, size=64):
    """Images (N, 3, size, size), with one concept set to a value if one is named."""
    scenes = SCENES if concept is None else [intervene(WORLD, scene, concept, value) for scene in SCENES]
    drawn = np.stack([WORLD.render(scene, size) for scene in scenes])
    return torch.from_numpy(drawn).permute(0, 3, 1, 2).float() / 255


def decisions(name, pictures):
    with torch.inference_mode():
        return shipped(name)(pictures).argmax(1)


def accuracy(name, task, pictures):
    labels = torch.tensor([WORLD.labels(scene.concepts)[task] for scene in SCENES])
    with torch.inference_mode():
        return (shipped(name).for_task(task)(pictures).argmax(1) == labels).float().mean().item()


def flip_rate(name, concept):
    values = range(len(next(each for each in WORLD.concepts if each.name == concept).values))
    before = decisions(name, images())
    after = torch.stack([decisions(name, images(concept, value)) for value in values])
    return (after != before).any(0).float().mean().item()


@pytest.mark.parametrize(
    "weights", [*SHIPPED.glob("*.safetensors"), *SHIPPED_GENERATORS.glob("*.safetensors")], ids=lambda path: path.stem
)
def test_the_card_belongs_to_the_weights(weights):
    name, card = weights.stem, weights.with_suffix(".md").read_text()
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in card
    assert f"make train NETWORK={name}" in card


@pytest.mark.parametrize("name", [*SMILE, *LOOK])
def test_a_classifier_is_small_and_takes_images_of_32_to_128_pixels(name):
    classifier = shipped(name)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        classifier.network(torch.zeros(1, 3, 64, 64))
    assert 20e6 <= counter.get_total_flops() <= 60e6
    for size in (32, 64, 128):
        assert classifier(torch.rand(2, 3, size, size)).shape == (2, len(classifier.classes))


@pytest.mark.parametrize(("name", "least"), [("smile-cnn", 0.99), ("smile-vit", 0.97), ("smile-robust", 0.9)])
def test_smile_classifiers_see_the_smile(name, least):
    assert accuracy(name, "smile", images()) >= least


@pytest.mark.parametrize(("name", "least"), [("look-cnn", 0.97), ("look-vit", 0.95), ("look-robust", 0.85)])
def test_look_classifiers_see_the_look(name, least):
    assert accuracy(name, "look", images()) >= least


def test_the_weak_classifier_is_better_than_chance_and_worse_than_the_others():
    assert 0.25 < accuracy("look-weak", "look", images()) < 0.95


def test_the_random_network_knows_nothing():
    assert 0.3 < accuracy("random", "smile", images()) < 0.7


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("concept", [concept.name for concept in WORLD.concepts])
def test_readers_read_every_concept(name, concept):
    assert accuracy(name, concept, images()) >= 0.99


def test_classifiers_agree_with_themselves_at_another_size():
    for name in ("smile-cnn", "look-cnn"):
        assert (decisions(name, images()) == decisions(name, images(size=128))).float().mean() > 0.97


def test_the_planted_shortcut_is_there_and_nowhere_else():
    assert 0.3 <= flip_rate("smile-shortcut", "glasses") <= 0.7
    assert flip_rate("smile-cnn", "glasses") <= 0.02
    for name in ("smile-cnn", "smile-shortcut"):
        for concept in ("beard", "background"):
            assert flip_rate(name, concept) <= 0.02, (name, concept)


def test_the_shortcut_of_the_look_is_the_beard():
    assert 0.3 <= flip_rate("look-shortcut", "beard") <= 0.7
    assert flip_rate("look-cnn", "beard") <= 0.02


def noised(step):
    """Images (20, 3, 64, 64) in [-1, 1], clean and noised to a step of the full schedule."""
    clean = images()[:20] * 2 - 1
    fresh = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    return clean, full_schedule().noised(clean, fresh, step)


def test_the_generator_takes_noise_off_faces():
    denoiser = load_generator("portraits-adm", {"file": str(SHIPPED_GENERATORS / "portraits-adm.safetensors")})
    clean, faces = noised(200)
    with torch.inference_mode():
        error = (denoiser(faces, 200).clean - clean).square().mean().item()
    assert error < 0.01 < (faces - clean).square().mean().item()


def test_the_guide_reads_the_look_through_noise():
    guide, _ = load_model(SHIPPED_GENERATORS / "portraits-guide.safetensors", "the guide")
    _, faces = noised(100)
    labels = torch.tensor([WORLD.labels(scene.concepts)["look"] for scene in SCENES[:20]])
    with torch.inference_mode():
        assert (guide(faces, torch.full((20,), 100.0)).argmax(1) == labels).float().mean() >= 0.8


def test_the_autoencoder_of_faces_restores_them():
    network, described = load_model(SHIPPED_GENERATORS / "portraits-dae.safetensors", "the autoencoder")
    faces, schedule = images()[:2], respaced_by_stride(full_schedule(**described.schedule), 10)
    codes = encode(network, faces * 2 - 1, schedule, described.predicts)
    restored = (decode(network, codes, schedule, described.predicts) + 1) / 2
    assert signal_to_noise(faces, restored).min() > 25
    exchanged = decode(network, Codes(codes.semantic.flip(0), codes.noise), schedule, described.predicts)
    assert signal_to_noise(faces.flip(0), (exchanged + 1) / 2).min() > 20  # what a face shows lies in its code


def test_everything_that_ships_is_small():
    listed = subprocess.run(["git", "ls-files", "data"], capture_output=True, text=True, check=True).stdout.split()
    assert sum(Path(file).stat().st_size for file in listed if Path(file).exists()) < 120e6
