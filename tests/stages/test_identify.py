"""Identities of networks, generators and in-fillers, and of what decides their answers."""

import json

import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.identity import identify as identify_generator
from pipeline.errors import UserError
from pipeline.fingerprint import fingerprint
from pipeline.infill.declared.vae import VaeShape
from pipeline.infill.file import build_network, save_filler
from pipeline.infill.identity import identify as identify_filler
from pipeline.stages.identify import identify
from pipeline.stages.networks import filler_identity, generator_identity
from tests.diffusion.conftest import small_unet


def test_networks_generators_and_in_fillers_get_files_of_their_names_with_what_they_are(tmp_path):
    network, shape = small_unet(), VaeShape(channels=4)
    save_filler(build_network(shape).state_dict(), tmp_path / "c.safetensors", shape)
    save_model(
        network.state_dict(),
        tmp_path / "a.safetensors",
        Description("unet", network.shape, {"name": "linear", "steps": 9}),
    )
    (tmp_path / "b.onnx").write_bytes(b"weights")
    entries = {
        "networks": {"judge": {"onnx": str(tmp_path / "b.onnx")}},
        "generators": {"makes": {"file": str(tmp_path / "a.safetensors")}},
        "fillers": {"fills": {"file": str(tmp_path / "c.safetensors")}},
        "files": {},
    }
    identify(json.dumps(entries), [tmp_path / f"{name}.json" for name in ("judge", "makes", "fills")])
    assert json.loads((tmp_path / "makes.json").read_text()) == identify_generator("x", entries["generators"]["makes"])
    assert json.loads((tmp_path / "fills.json").read_text()) == identify_filler("x", entries["fillers"]["fills"])
    assert list(json.loads((tmp_path / "judge.json").read_text())) == ["onnx"]


def test_an_in_filler_answers_by_its_file_and_the_code_of_its_network():
    known = filler_identity({"file": "sha256:1", "kind": "vae", "composited": False})
    assert known["filler"]["file"] == "sha256:1" and fingerprint("pipeline.infill.vae", deciding=True) in known["code"]


def test_a_generator_answers_by_its_files_its_code_and_its_libraries():
    ours = generator_identity({"file": "a.safetensors"}, {"file": "sha256:1"})
    assert ours["generator"] == {"file": "sha256:1"} and list(ours["libraries"]) == ["torch"]
    theirs = generator_identity({"diffusers": "a"}, {"diffusers": "sha256:1"})
    assert list(theirs["libraries"]) == ["torch", "diffusers"] and theirs["code"] != ours["code"]


LINEAR = """
import functools
import os

import torch


def load():
    network = torch.nn.Linear(3, 2)
    network.load_state_dict(torch.load(os.path.join("weights", "mine" + ".pth")))
    return network


def load_function():
    network = load()
    return lambda images: network(images.mean((2, 3)))


def load_tensor():
    weight = load().weight
    return lambda images: images.mean((2, 3)) @ weight.T


def load_bound():
    return load().forward


def load_decorated():
    network = load()

    @torch.inference_mode()
    def logits(images):
        return network(images.mean((2, 3)))

    return logits


def load_partial():
    return functools.partial(torch.nn.functional.linear, weight=load().weight)


def load_rule():
    return lambda images: images.mean((2, 3))[:, :2]
"""


@pytest.fixture
def identified(tmp_path, monkeypatch):
    """A function that identifies a function of the person's own, which reads its weights in a way that no one sees."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "linear.py").write_text(LINEAR)
    (tmp_path / "weights").mkdir()
    save_weights(1.0)

    def found(function, **options):
        entry = {"entry_point": f"linear.py:{function}", "classes": ["a", "b"], **options}
        chosen = {"networks": {"mine": entry}, "generators": {}, "fillers": {}, "files": {}}
        identify(json.dumps(chosen), [tmp_path / "mine.json"])
        return entry, json.loads((tmp_path / "mine.json").read_text())

    return found


def save_weights(value):
    torch.save({"weight": torch.full((2, 3), value), "bias": torch.zeros(2)}, "weights/mine.pth")


@pytest.mark.parametrize(
    "function", ["load", "load_function", "load_tensor", "load_bound", "load_decorated", "load_partial"]
)
def test_other_weights_make_another_network_however_they_are_read(function, identified):
    entry, first = identified(function)
    assert identified(function)[1] == first
    load_classifier("mine", entry, identity=first)
    save_weights(2.0)
    assert identified(function)[1]["state"] != first["state"]
    with pytest.raises(UserError, match="'mine' has other weights than when it was identified; list the files"):
        load_classifier("mine", entry, identity=first)


def test_a_rule_without_weights_is_its_source(identified):
    entry, first = identified("load_rule")
    assert "state" not in first
    load_classifier("mine", entry, identity=first)


def test_weights_are_identified_before_noise_is_added_to_them(identified):
    entry, found = identified("load", classifier_perturbation=0.5)
    assert found["state"] == identified("load")[1]["state"]
    load_classifier("mine", entry, seed=3, identity=found)
