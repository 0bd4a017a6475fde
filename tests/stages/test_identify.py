"""Identities of networks and generators, and of what decides their answers."""

import json

from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.identity import identify as identify_generator
from pipeline.stages.identify import identify
from pipeline.stages.networks import generator_identity
from tests.diffusion.conftest import small_unet


def test_networks_and_generators_get_files_of_their_names_with_what_they_are(tmp_path):
    network = small_unet()
    save_model(
        network.state_dict(),
        tmp_path / "a.safetensors",
        Description("unet", network.shape, {"name": "linear", "steps": 9}),
    )
    (tmp_path / "b.onnx").write_bytes(b"weights")
    entries = {
        "networks": {"judge": {"onnx": str(tmp_path / "b.onnx")}},
        "generators": {"makes": {"file": str(tmp_path / "a.safetensors")}},
    }
    identify(json.dumps(entries), [tmp_path / "judge.json", tmp_path / "makes.json"])
    assert json.loads((tmp_path / "makes.json").read_text()) == identify_generator("x", entries["generators"]["makes"])
    assert list(json.loads((tmp_path / "judge.json").read_text())) == ["onnx"]


def test_a_generator_answers_by_its_files_its_code_and_its_libraries():
    ours = generator_identity({"file": "a.safetensors"}, {"file": "sha256:1"})
    assert ours["generator"] == {"file": "sha256:1"} and list(ours["libraries"]) == ["torch"]
    theirs = generator_identity({"diffusers": "a"}, {"diffusers": "sha256:1"})
    assert list(theirs["libraries"]) == ["torch", "diffusers"] and theirs["code"] != ours["code"]
