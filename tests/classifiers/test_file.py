"""Our own file format."""

import json
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.classifiers.description import read_description
from pipeline.classifiers.file import build_network, save_classifier
from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError

HEADS = {"smile": ["no", "yes"]}
OPTIONS = {"architecture": "test_resnet", "options": {}, "heads": HEADS, "size": 32, "mean": 0.5, "std": 0.5}


def test_a_saved_network_comes_back_with_everything_around_it(our_file):
    reader = load_classifier("concepts", {"file": str(our_file)})
    assert {task: head.classes for task, head in reader.heads.items()} == {
        "smile": ("no", "yes"),
        "hat": ("none", "cap", "top"),
    }
    network = build_network("test_resnet", {}, {"all": ["a", "b", "c", "d", "e"]}).eval()
    network.load_state_dict(load_file(our_file))
    images = torch.rand(2, 3, 32, 32)
    mean = torch.tensor([0.5, 0.4, 0.3]).reshape(3, 1, 1)
    expected = network((images - mean) / 0.25) / torch.tensor([2.0, 2.0, 1.0, 1.0, 1.0])
    assert torch.allclose(reader(images), expected, atol=1e-6)


def test_the_entrys_task_keeps_one_head_and_its_temperature_wins(our_file):
    both = load_classifier("concepts", {"file": str(our_file)})
    smile = load_classifier("smile", {"file": str(our_file), "task": "smile", "temperature": 4.0})
    images = torch.rand(2, 3, 48, 48)
    assert smile.task == "smile" and smile.classes == ("no", "yes")
    assert torch.allclose(smile(images), both(images)[:, :2] * 2.0 / 4.0)


def test_equal_networks_give_equal_bytes(tmp_path):
    torch.manual_seed(0)
    network = build_network("test_resnet", {}, HEADS)
    metadata = [{"seed": 1, "accuracy": {"b": 1, "a": 2}}, {"accuracy": {"a": 2, "b": 1}, "seed": 1}]
    for name, extra in zip("ab", metadata, strict=True):
        save_classifier(network, tmp_path / name, **OPTIONS, extra_metadata=extra)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_description_is_read_without_the_weights(our_file):
    description = read_description(our_file)
    assert description["metadata"] == {"accuracy": 0.9}
    assert list(description["heads"]) == ["smile", "hat"] and description["size"] == 32


def test_grey_networks_take_colour_images(tmp_path):
    network = build_network("test_resnet", {"in_chans": 1}, HEADS)
    save_classifier(network, tmp_path / "grey.safetensors", **{**OPTIONS, "options": {"in_chans": 1}})
    classifier = load_classifier("grey", {"file": str(tmp_path / "grey.safetensors")})
    assert classifier.channels == 1 and classifier(torch.rand(2, 3, 32, 32)).shape == (2, 2)


def test_an_unknown_architecture_or_option_is_said():
    with pytest.raises(UserError, match="no architecture 'test_resnte'; did you mean 'test_resnet'"):
        build_network("test_resnte", {}, HEADS)
    with pytest.raises(UserError, match=r"cannot build test_resnet with the options.*depht"):
        build_network("test_resnet", {"depht": 3}, HEADS)
    with pytest.raises(UserError, match="num_classes 7, but its heads have 2"):
        build_network("test_resnet", {"num_classes": 7}, HEADS)


def test_weights_of_another_architecture_are_refused_with_the_first_few_names(tmp_path):
    path = tmp_path / "odd.safetensors"
    save_classifier(build_network("test_resnet", {}, HEADS), path, **{**OPTIONS, "architecture": "test_vit"})
    with pytest.raises(UserError, match=r"do not fit.*lacks .* and \d+ more; it has besides"):
        load_classifier("odd", {"file": str(path)})


def test_a_safetensors_of_somebody_else_is_told_from_ours(tmp_path):
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match="has weights but no description; give the architecture"):
        load_classifier("theirs", {"file": str(path)})


def test_a_description_that_lacks_a_field_is_said(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({"weight": torch.zeros(2)}, path, {"classifier": json.dumps({"architecture": "test_resnet"})})
    with pytest.raises(UserError, match=r"lacks options, heads, size, mean, std and 2 more"):
        load_classifier("old", {"file": str(path)})


def test_a_truncated_file_is_said(tmp_path, our_file):
    path = tmp_path / "half.safetensors"
    path.write_bytes(our_file.read_bytes()[:1000])
    with pytest.raises(UserError, match="is not a safetensors file, or is incomplete"):
        load_classifier("half", {"file": str(path)})


def test_a_missing_file_and_a_folder_are_said_with_their_path(tmp_path):
    with pytest.raises(UserError, match=r"'gone': .*gone\.safetensors does not exist; correct the path"):
        load_classifier("gone", {"file": str(tmp_path / "gone.safetensors")})
    with pytest.raises(UserError, match="is a folder, not a file"):
        load_classifier("folder", {"file": str(tmp_path)})


@pytest.mark.parametrize("architecture", ["hf-hub:owner/birds", "hf_hub:owner/birds", "HF-HUB:owner/birds"])
@pytest.mark.parametrize("place", ["a description", "a recipe"])
def test_an_architecture_of_the_hub_is_refused_without_asking_it(architecture, place, tmp_path, our_file, no_hub):
    with pytest.raises(UserError, match=r"(is one of the hub; name one that timm has|timm has no architecture)"):
        if place == "a recipe":
            build_network(architecture, {}, HEADS)
        else:
            load_classifier("odd", {"file": redescribed(our_file, tmp_path, architecture=architecture)})


def test_a_folder_is_no_architecture(tmp_path, our_file):
    with pytest.raises(UserError, match="timm has no architecture 'local-dir:/etc'"):
        load_classifier("odd", {"file": redescribed(our_file, tmp_path, architecture="local-dir:/etc")})


@pytest.mark.parametrize(
    "options",
    [
        {"pretrained": True},
        {"pretrained_cfg": {"hf_hub_id": "owner/birds"}},
        {"pretrained_cfg_overlay": {"file": "other.pth"}},
        {"checkpoint_path": "other.pth"},
        {"cache_dir": "/etc"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_options_that_lead_to_other_weights_are_refused(options, tmp_path, our_file, no_hub):
    (option,) = options
    said = f"options has {option}, which would fetch or read other weights; leave it out"
    with pytest.raises(UserError, match=said):
        load_classifier("odd", {"file": redescribed(our_file, tmp_path, options=options)})
    with pytest.raises(UserError, match=said):
        load_classifier("odd", {"timm": "test_resnet", "random_weights": 1, "options": options})


def redescribed(our_file, folder, **changes):
    """Path of a copy of a file of ours with other fields in its description."""
    description = {**read_description(our_file), **changes}
    save_file(load_file(our_file), folder / "odd.safetensors", {"classifier": json.dumps(description)})
    return str(folder / "odd.safetensors")


@pytest.fixture
def no_hub(monkeypatch):
    """Fail where anything opens a connection."""

    def refuse(self, address):
        raise AssertionError(f"a connection to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
