"""A generator made of weights that were trained elsewhere."""

from pathlib import Path

import pytest
import torch
import yaml

from pipeline.commands.publish import publish
from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.file import load_model
from pipeline.diffusion.load import load_generator
from pipeline.diffusion.train import Progress, Recipe
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.errors import UserError
from pipeline.stages import train_autoencoder, train_generator, train_guide
from pipeline.stages.train_generator import describe
from pipeline.study import load_study

SHAPE = {"channels": 32, "multipliers": [1, 1], "blocks": 1, "attention": [], "head_channels": 32}
STUDY = {
    "study": "mine",
    "dataset": {"digits": "scikit-learn"},
    "classifiers": {"reads": {"trained": "reads"}},
    "training": {
        "reads": {"dataset": {"digits": "scikit-learn"}, "tasks": ["digit"], "architecture": "resnet18"},
        "draws": {
            "dataset": {"digits": "scikit-learn", "size": 8},
            "rows": 32,
            "unet": SHAPE,
            "schedule": {"steps": 25},
            "gate": {"samples": 300, "steps": 2},
        },
        "guides": {
            "dataset": {"digits": "scikit-learn", "size": 8},
            "rows": 5000,
            "noisy_classifier": SHAPE,
            "task": "digit",
            "schedule": {"steps": 25},
            "tested": 40,
        },
        "restores": {
            "dataset": {"digits": "scikit-learn", "size": 8},
            "rows": 32,
            "autoencoder": {"channels": 32, "multipliers": [1], "encoder_multipliers": [1], "blocks": 1, "semantic": 4},
            "schedule": {"steps": 25},
            "gate": {"steps": 2},
        },
    },
}


@pytest.fixture
def study(tmp_path, monkeypatch) -> str:
    """The path of the study; samples are drawn in few steps."""
    monkeypatch.setattr(train_generator, "SHOWN_STEPS", 2)
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(STUDY))
    return str(path)


def test_weights_trained_elsewhere_become_a_generator_with_a_card(study, tmp_path):
    recipe = load_study(study).training["draws"]
    network = UNet(describe(recipe).shape)
    progress = Progress(network, Recipe(), 1)
    progress.averaged["out.2.bias"] += 0.25
    progress.save(tmp_path / "elsewhere.pt")
    folder = tmp_path / "generators"
    publish("draws", tmp_path / "elsewhere.pt", study, folder, samples=8, seconds=3600.0)
    names = ["draws-neighbours.png", "draws.md", "draws.png", "draws.safetensors"]
    assert sorted(path.name for path in folder.iterdir()) == names
    loaded = load_generator("draws", {"file": str(folder / "draws.safetensors")})
    assert loaded.network.out[2].bias.tolist() == [0.25] * 6
    card = (folder / "draws.md").read_text(encoding="utf-8")
    assert "8 images, drawn in 2 steps" in card and "| time, device | 3,600 s of training |" in card
    assert "No readers were named" in card
    again = folder / "again"
    publish("draws", folder / "draws.safetensors", study, again, samples=8, seconds=3600.0)
    assert (again / "draws.safetensors").read_bytes() == (folder / "draws.safetensors").read_bytes()


def test_a_guide_trained_elsewhere_gets_a_card_with_what_it_reads(study, tmp_path):
    recipe = load_study(study).training["guides"]
    torch.manual_seed(1)
    network = NoisyClassifier(train_guide.describe(recipe, tuple("0123456789")).shape)
    torch.save(network.state_dict(), tmp_path / "elsewhere.pt")
    folder = tmp_path / "generators"
    publish("guides", tmp_path / "elsewhere.pt", study, folder, seconds=60.0, device="a card")
    assert sorted(path.name for path in folder.iterdir()) == ["guides.md", "guides.safetensors"]
    card = (folder / "guides.md").read_text(encoding="utf-8")
    assert "split train" in card and "5,000 images" not in card, "there are fewer digits than that"
    assert "Accuracy on 40 images" in card and "| time, device | 60 s of training, a card |" in card
    loaded, described = load_model(folder / "guides.safetensors", "generator 'guides'")
    assert list(described.classes) == list("0123456789")
    assert torch.allclose(loaded.out[2].c_proj.bias, network.out[2].c_proj.bias, atol=1e-3)


def test_an_autoencoder_trained_elsewhere_passes_through_its_gate(study, tmp_path):
    recipe = load_study(study).training["restores"]
    network = DiffusionAutoencoder(train_autoencoder.describe(recipe).shape)
    torch.save(network.state_dict(), tmp_path / "elsewhere.pt")
    folder = tmp_path / "generators"
    publish("restores", tmp_path / "elsewhere.pt", study, folder, samples=3)
    assert sorted(path.name for path in folder.iterdir()) == ["restores.md", "restores.png", "restores.safetensors"]
    card = (folder / "restores.md").read_text(encoding="utf-8")
    assert "split train, 32 images" in card and "Gate: 3 images" in card and "linear probes" not in card
    loaded, described = load_model(folder / "restores.safetensors", "generator 'restores'")
    assert (described.kind, described.predicts) == ("autoencoder", "velocity")
    weight = "encoder.out.3.weight"
    assert torch.allclose(loaded.state_dict()[weight], network.state_dict()[weight], atol=1e-3)


def test_weights_of_another_recipe_are_refused_and_leave_nothing(study, tmp_path):
    torch.save({"out.2.bias": torch.zeros(6)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match=r"generator 'draws': the weights in .*other\.pt do not fit the architecture"):
        publish("draws", tmp_path / "other.pt", study, tmp_path / "generators")
    assert not (tmp_path / "generators").exists()


@pytest.mark.parametrize(
    ("name", "state", "sentence"),
    [
        ("draw", "a.pt", "has no recipe 'draw' in its section training; did you mean 'draws'?"),
        (
            "reads",
            "a.pt",
            "reads is neither a diffusion model nor a guide nor a diffusion autoencoder; publish one of draws,",
        ),
        ("draws", "gone.pt", "gone.pt does not exist; give the file of the weights with --state."),
    ],
)
def test_what_cannot_be_published_is_told_in_one_sentence(study, tmp_path, name, state, sentence):
    with pytest.raises(UserError) as caught:
        publish(name, Path(state), study, tmp_path)
    assert sentence in str(caught.value)
