"""Training of diffusion models and guides as stages, and what their cards say, on real digits and tiny networks."""

import json
from pathlib import Path

import pytest

from pipeline.diffusion.file import load_model
from pipeline.diffusion.load import load_generator
from pipeline.digests import file_digest
from pipeline.errors import UserError
from pipeline.images import decode_png
from pipeline.stages import resumable, train_generator
from pipeline.stages.gate import gate
from pipeline.stages.train import train
from pipeline.stages.train_generator import describe
from pipeline.stages.train_guide import train_guide
from pipeline.study import Study
from pipeline.workflow.plan import Plan

SMALL = {"channels": 32, "multipliers": [1, 1], "blocks": 1, "attention": [], "head_channels": 32}
DIGITS = {"digits": "scikit-learn", "size": 8}
RECIPES = {
    "reads": {
        "dataset": DIGITS,
        "tasks": ["digit"],
        "architecture": "resnet18",
        "options": {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]},
        "rows": 64,
        "steps": 4,
        "batch_size": 16,
        "tested": 40,
    },
    "draws": {
        "dataset": DIGITS,
        "rows": 40,
        "unet": SMALL,
        "schedule": {"steps": 25},
        "steps": 6,
        "batch_size": 4,
        "gate": {"samples": 12, "steps": 3, "readers": ["reads"], "features": "reads"},
    },
    "guides": {
        "dataset": DIGITS,
        "rows": 40,
        "noisy_classifier": SMALL,
        "task": "digit",
        "schedule": {"steps": 25},
        "steps": 4,
        "batch_size": 4,
        "tested": 30,
    },
}


def plan(**changes) -> Plan:
    training = {name: {**recipe, **changes.get(name, {})} for name, recipe in RECIPES.items()}
    classifiers = {"reads": {"trained": "reads"}}
    return Plan(
        Study.model_validate({"study": "a", "dataset": DIGITS, "classifiers": classifiers, "training": training})
    )


def trained(folder: Path, options: str | None = None) -> Path:
    """Train the small diffusion model; returns its weights, beside which lie its samples and the record."""
    weights = folder / "draws.safetensors"
    train_generator.train_generator(
        "draws",
        options or plan().options("train_generator", "draws"),
        weights,
        weights.with_suffix(".png"),
        weights.with_suffix(".json"),
    )
    return weights


@pytest.fixture(autouse=True, scope="module")
def quickly_shown():
    """Samples are drawn in few steps; this changes no weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_generator, "SHOWN_STEPS", 2)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The weights of an undisturbed training."""
    return trained(tmp_path_factory.mktemp("whole"))


def test_training_writes_weights_that_say_what_they_are_with_samples_and_a_record(whole):
    denoiser = load_generator("draws", {"file": str(whole)}, "unet")
    assert (denoiser.predicts, len(denoiser.schedule), denoiser.network.shape.size) == ("velocity", 25, 8)
    grid = decode_png(whole.with_suffix(".png").read_bytes())
    assert grid.shape == (8 * 10 + 2, 8 * 10 + 2, 3) and len(set(grid[2:10, 2:10].flatten().tolist())) > 10
    assert json.loads(whole.with_suffix(".json").read_text())["seconds"] >= 0
    assert sorted(path.name for path in whole.parent.iterdir()) == ["draws.json", "draws.png", "draws.safetensors"]


def test_images_that_it_draws_are_shown_while_it_learns(tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "SHOW_EVERY", 0.0)
    shown = []
    write = train_generator.write_grid
    monkeypatch.setattr(train_generator, "write_grid", lambda path, *rest: shown.append(path) or write(path, *rest))
    weights = trained(tmp_path, plan(draws={"steps": 3}).options("train_generator", "draws"))
    assert shown == [weights.with_suffix(".png")] * 4  # after each step, and at the end


def test_the_variance_is_learned_where_it_has_a_weight():
    recipe = plan().chosen("train_generator", "draws")
    assert describe(recipe).shape.out_channels == 6
    assert describe(recipe.model_copy(update={"variance_weight": 0})).shape.out_channels == 3


@pytest.fixture(scope="module")
def measured(whole, tmp_path_factory) -> Path:
    """The model card of the trained model."""
    folder = tmp_path_factory.mktemp("measured")
    train("reads", plan().options("train", "reads"), folder / "reads.safetensors", folder / "reads.md")
    options = json.loads(plan().options("gate", "draws"))
    options["networks"]["reads"]["file"] = str(folder / "reads.safetensors")
    card = folder / "draws.md"
    gate("draws", json.dumps(options), whole, whole.with_suffix(".json"), card, folder / "near.png")
    return card


def test_the_card_of_a_generator_says_what_it_saw_and_whether_it_passes(measured, whole):
    card = measured.read_text(encoding="utf-8")
    assert "split train, 40 images" in card and "12 images, drawn in 3 steps" in card
    assert f"| sha256 | `{file_digest(whole)}` |" in card
    assert "Not passed: it is asked that of every concept every value is as frequent" in card  # it hardly learned
    assert "| digit | one reader |" in card and "Kernel distance in the features of reads" in card
    near = decode_png((measured.parent / "near.png").read_bytes())
    assert near.shape == (8 * 10 + 2, 4 * 10 + 2, 3)  # eight images, each with its three nearest


def test_a_reader_of_another_order_of_values_is_refused(whole, measured, tmp_path):
    options = json.loads(plan().options("gate", "draws"))
    options["networks"]["reads"]["file"] = str(measured.parent / "reads.safetensors")
    options["recipe"]["dataset"] = {"world": "portraits", "size": 32, "prior": None}
    with pytest.raises(UserError, match="the world portraits has no task 'digit'"):
        gate("draws", json.dumps(options), whole, whole.with_suffix(".json"), tmp_path / "a.md", tmp_path / "a.png")


def test_a_guide_is_trained_measured_and_described(tmp_path):
    weights, card = tmp_path / "guides.safetensors", tmp_path / "guides.md"
    train_guide("guides", plan().options("train_guide", "guides"), weights, card)
    network, described = load_model(weights, "generator 'guides'")
    assert described.classes == list("0123456789") and network.shape.out_channels == 10
    text = card.read_text(encoding="utf-8")
    assert "by the task `digit`" in text and "Accuracy on 30 images" in text
    assert "| 0 to 1 | 0." in text and "| 22 to 24 | 0." in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["guides.md", "guides.safetensors"]
