"""Entries of generators: what a person may write, what is loaded, and what counts as the same generator."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.description import Description
from pipeline.diffusion.diffusers_unet import to_diffusers
from pipeline.diffusion.entry import Generator
from pipeline.diffusion.file import save_model
from pipeline.diffusion.identity import identify
from pipeline.diffusion.load import load_generator
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.digests import file_digest
from pipeline.entry import parse_entry
from pipeline.errors import UserError
from pipeline.unet_shape import SHAPES, Shape
from tests.diffusion.conftest import SMALL, small_unet

WRITTEN = {"size": 16, **{key: list(value) if isinstance(value, tuple) else value for key, value in SMALL.items()}}
LINEAR = {"name": "linear", "steps": 1000}


@pytest.fixture
def official(tmp_path):
    """An official checkpoint of a small network."""
    path = tmp_path / "official.pt"
    torch.save(small_unet().state_dict(), path)
    return path


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "ours.safetensors"
    save_model(small_unet().state_dict(), path, Description("unet", small_unet().shape, LINEAR, "velocity"), half=False)
    return path


def predictions(loaded: Denoiser, step: int = 500):
    return loaded(torch.linspace(-1, 1, 2 * 3 * 16 * 16).view(2, 3, 16, 16), step)


def test_a_file_of_ours_says_itself_what_it_is(ours):
    denoiser = load_generator("small", {"file": str(ours)})
    assert denoiser.predicts == "velocity" and len(denoiser.schedule) == 1000
    images, at = torch.ones(1, 3, 16, 16), torch.tensor([7.0])
    assert torch.equal(denoiser.network(images, at), small_unet()(images, at))


def test_an_official_checkpoint_needs_only_its_shape(official):
    denoiser = load_generator("narrow", {"checkpoint": str(official), "shape": WRITTEN})
    assert denoiser.predicts == "noise" and predictions(denoiser).noise.shape == (2, 3, 16, 16)


@pytest.mark.parametrize("pipeline", [False, True], ids=["model", "pipeline"])
def test_a_folder_of_diffusers_predicts_what_the_checkpoint_does(official, tmp_path, pipeline):
    folder = tmp_path / "theirs"
    to_diffusers(small_unet()).save_pretrained(folder / "unet" if pipeline else folder)
    if pipeline:
        scheduler = {"beta_schedule": "squaredcos_cap_v2", "prediction_type": "v_prediction"}
        (folder / "scheduler").mkdir()
        (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    said = {"schedule": {"name": "cosine", "steps": 1000}, "predicts": "velocity"} if pipeline else {}
    theirs = load_generator("theirs", {"diffusers": str(folder)})
    official = load_generator("official", {"checkpoint": str(official), "shape": WRITTEN, **said})
    assert torch.allclose(predictions(theirs).clean, predictions(official).clean, atol=1e-4)


def test_a_scheduler_that_is_none_of_ours_is_refused(tmp_path):
    folder = tmp_path / "theirs"
    to_diffusers(small_unet()).save_pretrained(folder / "unet")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"beta_schedule": "scaled_linear"}))
    with pytest.raises(UserError, match=r"generator 'theirs': the scheduler in .* has beta_schedule 'scaled_linear'"):
        load_generator("theirs", {"diffusers": str(folder)})


def test_the_variance_that_a_network_did_not_learn_is_the_one_that_is_said(tmp_path):
    network, folder = small_unet(out_channels=3), tmp_path / "theirs"
    torch.save(network.state_dict(), tmp_path / "official.pt")
    to_diffusers(network).save_pretrained(folder / "unet")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"variance_type": "fixed_large"}))
    entry = {"checkpoint": str(tmp_path / "official.pt"), "shape": {**WRITTEN, "out_channels": 3}}
    betas = full_schedule().betas
    for given in (entry, {**entry, "variance": "large"}, {"diffusers": str(folder)}):
        assert predictions(load_generator("x", given)).variance == pytest.approx(betas[500])
    for given in ({**entry, "variance": "small"}, {"diffusers": str(folder), "variance": "small"}):
        assert predictions(load_generator("x", given)).variance < betas[500]
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"variance_type": "learned"}))
    with pytest.raises(UserError, match="variance_type 'learned'; only fixed_small"):
        load_generator("x", {"diffusers": str(folder)})


def test_weights_that_diffusers_would_draw_at_random_are_refused(tmp_path):
    to_diffusers(small_unet()).save_pretrained(tmp_path)
    weights = tmp_path / "diffusion_pytorch_model.safetensors"
    state = load_file(weights)
    del state["conv_in.weight"]
    save_file(state, weights, {"format": "pt"})
    with pytest.raises(UserError, match=r"generator 'theirs': .* its weights lack conv_in\.weight"):
        load_generator("theirs", {"diffusers": str(tmp_path)})


def test_a_classifier_of_noised_images_is_one_and_says_so_where_a_model_is_wanted(tmp_path):
    shape, path = Shape(16, **{**SMALL, "out_channels": 2}), tmp_path / "guide.safetensors"
    described = Description("noisy-classifier", shape, LINEAR, classes=["no", "yes"])
    save_model(NoisyClassifier(shape).state_dict(), path, described)
    guide = load_generator("guide", {"file": str(path)}, "noisy-classifier")
    assert guide.classes == ("no", "yes") and guide(torch.zeros(3, 3, 16, 16), torch.zeros(3)).shape == (3, 2)
    with pytest.raises(UserError, match="generator 'guide' is a classifier of noised images; name a diffusion model"):
        load_generator("guide", {"file": str(path)}, "unet")


def test_a_model_of_grey_images_is_refused(tmp_path):
    grey = small_unet(in_channels=1, out_channels=2)
    save_model(grey.state_dict(), tmp_path / "grey.safetensors", Description("unet", grey.shape, LINEAR))
    with pytest.raises(UserError, match="generator 'grey' is made for images of 1 channels"):
        load_generator("grey", {"file": str(tmp_path / "grey.safetensors")})


def test_presets_bring_the_schedule_and_the_kind_of_the_published_network():
    def described(**entry):
        return parse_entry(Generator, "published", {"checkpoint": "weights.pt", **entry}).described()

    assert described(preset="imagenet-256").shape == SHAPES["imagenet-256"]
    assert described(preset="imagenet-64-conditional").schedule["name"] == "cosine"
    assert described(preset="celeba-128").schedule["steps"] == 500
    assert described(preset="imagenet-256-classifier").kind == "noisy-classifier"
    narrow = described(preset="celeba-128", shape={"channels": 32, "head_channels": 16}).shape
    assert (narrow.channels, narrow.head_channels, narrow.heads, narrow.size) == (32, 16, None, 128)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"fil": "a"}, "generator 'x': unknown key 'fil'; did you mean 'file'?"),
        ({}, "generator 'x': a generator has exactly one of the keys file, trained, checkpoint, diffusers"),
        ({"file": "a", "checkpoint": "b"}, "diffusers; here there is file and checkpoint."),
        ({"file": "a", "preset": "imagenet-256"}, "file says preset itself; leave preset out."),
        ({"file": "gone.safetensors"}, "generator 'x': gone.safetensors does not exist; correct the path"),
        ({"diffusers": "gone"}, "generator 'x': gone/diffusion_pytorch_model.safetensors does not exist"),
    ],
)
def test_a_wrong_entry_is_told_in_one_sentence(entry, sentence):
    with pytest.raises(UserError) as caught:
        load_generator("x", entry)
    assert sentence in str(caught.value)


def test_a_checkpoint_that_nothing_describes_is_told_in_one_sentence(official):
    with pytest.raises(UserError, match="generator 'x': weights alone do not say what they are of; add `preset:"):
        load_generator("x", {"checkpoint": str(official)})


def test_another_sha256_than_expected_is_told(ours):
    load_generator("x", {"file": str(ours), "sha256": file_digest(ours)})
    with pytest.raises(UserError, match=r"generator 'x': .* has sha256 .*, expected 0000"):
        load_generator("x", {"file": str(ours), "sha256": "0" * 64})


def test_the_identity_follows_the_content_and_not_the_path(ours, tmp_path):
    moved = tmp_path / "moved.safetensors"
    shutil.copy(ours, moved)
    before = identify("a", {"file": str(ours)})
    assert identify("b", {"file": str(moved), "sha256": file_digest(ours)}) == before
    save_model(small_unet(1).state_dict(), moved, Description("unet", small_unet().shape, LINEAR))
    assert identify("b", {"file": str(moved)}) != before


def test_the_identity_of_a_checkpoint_is_what_is_meant_however_it_is_written(official):
    entry = {"checkpoint": str(official), "shape": WRITTEN}
    spelled = {**entry, "schedule": LINEAR, "predicts": "noise"}
    assert identify("a", entry) == identify("a", spelled)
    assert identify("a", entry) != identify("a", {**entry, "schedule": {"name": "cosine", "steps": 1000}})


def test_the_identity_of_a_folder_changes_with_its_configuration(tmp_path):
    to_diffusers(small_unet()).save_pretrained(tmp_path)
    before = identify("a", {"diffusers": str(tmp_path)})
    (tmp_path / "config.json").write_text((tmp_path / "config.json").read_text() + "\n")
    assert identify("a", {"diffusers": str(tmp_path)}) != before
