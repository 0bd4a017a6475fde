"""A diffusion autoencoder from its recipe to a file with a gate and a card, on tiny networks."""

import pytest
import torch

from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.file import load_model
from pipeline.digests import file_digest
from pipeline.images import decode_png
from pipeline.metrics.autoencoding import signal_to_noise
from pipeline.stages import resumable, train_autoencoder
from pipeline.stages.resumable import progress_file
from pipeline.study import Study
from pipeline.workflow.plan import Plan

DIGITS = {"digits": "scikit-learn", "size": 8}
NETWORK = {"channels": 32, "multipliers": [1, 1], "encoder_multipliers": [1, 1], "blocks": 1, "semantic": 8}
RECIPE = {
    "dataset": DIGITS,
    "rows": 32,
    "autoencoder": NETWORK,
    "schedule": {"steps": 25},
    "steps": 4,
    "batch_size": 4,
    "gate": {"images": 10, "steps": 5},
}


def plan(**changes):
    study = {"study": "a", "dataset": DIGITS, "classifiers": {"a": {"file": "a"}}}
    return Plan(Study.model_validate({**study, "training": {"restores": {**RECIPE, **changes}}}))


def trained(folder, **changes):
    """Train a small autoencoder; returns its weights, beside which lie its card and restored images."""
    weights = folder / "restores.safetensors"
    beside = weights.with_suffix(".png"), weights.with_suffix(".md")
    options = plan(**changes).options("train_autoencoder", "restores")
    train_autoencoder.train_autoencoder("restores", options, weights, *beside)
    return weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


def test_training_writes_weights_that_say_what_they_are_restored_images_and_a_card(weights):
    network, described = load_model(weights, "generator 'restores'")
    assert isinstance(network, DiffusionAutoencoder) and network.shape.semantic == 8
    assert (described.predicts, described.schedule) == ("velocity", {"name": "linear", "steps": 25})
    assert decode_png(weights.with_suffix(".png").read_bytes()).shape == (2 * 10 + 2, 8 * 10 + 2, 3)
    text = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert "split train, 32 images" in text and f"| sha256 | `{file_digest(weights)}` |" in text
    assert "Gate: 10 images of the split test, encoded in 5 steps and decoded in 5" in text
    assert "a mean of at least 28 dB; this does not hold of the mean.\n" in text  # it hardly learned
    assert not progress_file(weights).exists()


def test_the_concepts_of_a_world_are_probed_in_its_codes(tmp_path):
    gate = {"images": 1, "steps": 2, "fitted": 24, "tested": 12}
    weights = trained(tmp_path, dataset={"world": "portraits", "size": 32}, steps=1, gate=gate)
    text = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert "28 dB, and an area of at least 0.98 of every concept with two values" in text
    assert "fitted to 24 training images and asked of 12" in text
    assert "| smile | 2 | 0." in text and "| hair | 4 | 0." in text and text.count("| not asked |") == 3


def test_restored_images_are_shown_while_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "SHOW_EVERY", 0.0)
    shown, write = [], train_autoencoder.write_grid
    monkeypatch.setattr(train_autoencoder, "write_grid", lambda path, *rest: shown.append(path) or write(path, *rest))
    path = trained(tmp_path, steps=2).with_suffix(".png")
    assert shown == [path] * 3  # after each step, and at the end


def test_how_it_is_measured_decides_no_weights(weights, tmp_path):
    assert file_digest(trained(tmp_path, gate={"images": 2, "steps": 2})) == file_digest(weights)


def test_a_network_that_sees_no_noise_restores_everything_as_grey():
    """Without noise x0-hat is x over sqrt(abar): a faint image is coded as nothing, and nothing is decoded to 0.5."""
    described = train_autoencoder.describe(plan(predicts="noise").chosen("train_autoencoder", "restores").recipe)
    network = DiffusionAutoencoder(described.shape).eval().requires_grad_(False)  # its last layer begins as zero
    images = torch.tensor([[130], [118]], dtype=torch.uint8).expand(2, 3 * 8 * 8).unflatten(1, (3, 8, 8))
    restored = train_autoencoder.restore(network, described, images, 5)
    assert (restored - 0.5).abs().max() < 1e-3
    expected = [20 * torch.tensor(255 / off).log10().item() for off in (2.5, 9.5)]
    assert signal_to_noise(images / 255, restored).tolist() == pytest.approx(expected, abs=0.2)
