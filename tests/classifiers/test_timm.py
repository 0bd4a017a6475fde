"""timm networks with local checkpoints and with the hub's weights."""

import argparse
import hashlib
import os
import pickle

import pytest
import timm
import torch
from safetensors.torch import save_file

from pipeline.classifiers.formats import hub
from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError

CLASSES = ["cat", "dog", "owl"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3).eval()


@pytest.fixture
def safetensors(network, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(network.state_dict(), path)
    return str(path)


def entry(checkpoint, **options):
    return {"timm": "test_resnet", "checkpoint": str(checkpoint), "classes": CLASSES, **options}


def test_size_mean_and_std_come_from_timms_own_configuration(network, safetensors):
    classifier = load_classifier("animal", entry(safetensors))
    configuration = network.pretrained_cfg
    mean = torch.tensor(configuration["mean"]).reshape(3, 1, 1)
    std = torch.tensor(configuration["std"]).reshape(3, 1, 1)
    images = torch.rand(2, 3, *configuration["input_size"][1:])
    assert classifier.size == configuration["input_size"][-1] == 160
    assert (classifier.task, classifier.classes) == ("label", ("cat", "dog", "owl"))
    assert torch.allclose(classifier(images), network((images - mean) / std), atol=1e-5)


def test_what_the_entry_says_wins(network, safetensors):
    classifier = load_classifier("animal", entry(safetensors, size=32, mean=0.0, std=1.0, temperature=2.0, task="kind"))
    images = torch.rand(2, 3, 32, 32)
    assert torch.allclose(classifier(images), network(images) / 2, atol=1e-5)
    assert classifier.task == "kind" and classifier(torch.rand(2, 3, 128, 128)).shape == (2, 3)


@pytest.mark.parametrize(
    "content",
    [
        lambda state: state,
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}, "epoch": 3},
        lambda state: {"model": {f"_orig_mod.{key}": value for key, value in state.items()}},
        lambda state: {"state_dict": {}, "state_dict_ema": state, "args": argparse.Namespace(lr=0.1)},
    ],
    ids=["bare", "parallel", "compiled", "averaged"],
)
def test_checkpoints_of_training_scripts_are_read(content, network, tmp_path):
    torch.save(content(network.state_dict()), tmp_path / "checkpoint.pth")
    classifier = load_classifier("animal", entry(tmp_path / "checkpoint.pth", size=32))
    assert torch.equal(classifier.network.fc.weight, network.fc.weight)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    for save in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))):
        save({"state_dict": Malicious()}, tmp_path / "bad.pth")
        with pytest.raises(UserError, match=r"bad\.pth holds more than weights.*save its state_dict alone"):
            load_classifier("bad", entry(tmp_path / "bad.pth"))
        assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 but not really"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_that_is_no_checkpoint_is_said(content, suffix, tmp_path):
    path = tmp_path / f"junk.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"'junk': .*junk\.(pth|safetensors) "):
        load_classifier("junk", entry(path))


def test_a_checkpoint_without_a_state_dict_is_said(tmp_path):
    torch.save({"epoch": 3, "loss": 0.5}, tmp_path / "log.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        load_classifier("log", entry(tmp_path / "log.pth"))


def test_missing_and_extra_weights_are_listed(network, tmp_path):
    state = dict(network.state_dict())
    state["head.scale"] = state.pop("conv1.0.weight")
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match=r"lacks conv1\.0\.weight; it has besides head\.scale"):
        load_classifier("odd", entry(tmp_path / "odd.safetensors"))


def test_weights_of_another_shape_are_listed(safetensors):
    with pytest.raises(UserError, match=r"another shape in conv1\.0\.weight \(16, 3, 3, 3\) for \(16, 1, 3, 3\)"):
        load_classifier("odd", entry(safetensors, channels=1, mean=0.5, std=0.5))


def test_classes_must_be_as_many_as_outputs(safetensors):
    with pytest.raises(UserError, match="has 3 outputs, but `classes` has 2 names"):
        load_classifier("animal", entry(safetensors, classes=["cat", "dog"]))


def test_classes_that_timm_does_not_know_must_be_given(safetensors):
    with pytest.raises(UserError, match=r"'animal' needs the names of its classes.*classes: \[serious, smiling\]"):
        load_classifier("animal", {"timm": "test_resnet", "checkpoint": safetensors})


def test_imagenet_classes_have_timms_names_each_its_own(tmp_path):
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "imagenet.safetensors")
    classifier = load_classifier(
        "imagenet", {"timm": "test_resnet", "checkpoint": str(tmp_path / "imagenet.safetensors")}
    )
    assert len(set(classifier.classes)) == 1000
    assert classifier.classes[0] == "tench" and classifier.classes[134] == "crane (n02012849)"


def test_one_output_of_a_multi_label_network_becomes_two_classes(network, safetensors):
    told = entry(safetensors, size=32, mean=0.0, std=1.0, classes=["serious", "smiling"], output={"sigmoid": 2})
    images = torch.rand(2, 3, 32, 32)
    half = network(images)[:, 2] / 2
    assert torch.allclose(load_classifier("smile", told)(images), torch.stack([-half, half], dim=1), atol=1e-5)


def test_options_reach_the_architecture(tmp_path):
    vit = timm.create_model("test_vit", num_classes=3, img_size=32)
    save_file(vit.state_dict(), tmp_path / "vit.safetensors")
    told = {"timm": "test_vit", "checkpoint": str(tmp_path / "vit.safetensors"), "classes": CLASSES}
    classifier = load_classifier("vit", {**told, "options": {"img_size": 32}})
    assert classifier.size == 32 and classifier(torch.rand(1, 3, 64, 64)).shape == (1, 3)
    with pytest.raises(UserError, match=r"cannot build test_vit with the options.*img_sise"):
        load_classifier("vit", {**told, "options": {"img_sise": 32}})
    with pytest.raises(UserError, match="options has num_classes; leave it out"):
        load_classifier("vit", {**told, "options": {"num_classes": 3}})


def test_a_digest_is_checked(safetensors):
    with open(safetensors, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    load_classifier("animal", entry(safetensors, size=32, sha256=digest))
    with pytest.raises(UserError, match=f"has sha256 {digest}, expected {'0' * 64}"):
        load_classifier("animal", entry(safetensors, sha256="0" * 64))


def test_a_missing_checkpoint_is_said():
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        load_classifier("animal", entry("nowhere.pth"))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ("resnt18", "no architecture 'resnt18'; did you mean 'resnet18'"),
        ("test_resnet.r160_in1", r"no weights 'test_resnet\.r160_in1'; did you mean 'test_resnet\.r160_in1k'"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(model, sentence):
    with pytest.raises(UserError, match=sentence):
        load_classifier("animal", {"timm": model})


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_without_a_network_is_said_in_one_sentence(offline, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # a port where nobody answers
    with pytest.raises(UserError, match=r"not in the cache and cannot be fetched.*checkpoint: resources"):
        load_classifier("animal", {"timm": "test_resnet.r160_in1k"})
    assert constants.HF_HUB_OFFLINE is offline


@pytest.fixture
def filled_cache(network, monkeypatch, tmp_path):
    """The hub's cache, as huggingface_hub lays it out, with weights for test_resnet.r160_in1k."""
    from huggingface_hub import constants

    folder = tmp_path / "models--timm--test_resnet.r160_in1k"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    torch.manual_seed(1)
    pretrained = timm.create_model("test_resnet")
    save_file(pretrained.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "answers", lambda address: False)
    return pretrained, snapshot / "model.safetensors"


def test_weights_in_the_hubs_cache_need_no_network(filled_cache):
    pretrained, path = filled_cache
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    classifier = load_classifier("animal", {"timm": "test_resnet.r160_in1k", "sha256": digest})
    assert torch.equal(classifier.network.fc.weight, pretrained.fc.weight)
    assert classifier.size == 160 and len(classifier.classes) == 1000
    with pytest.raises(UserError, match=f"has sha256 {digest}, expected {'0' * 64}"):
        load_classifier("animal", {"timm": "test_resnet.r160_in1k", "sha256": "0" * 64})
    with pytest.raises(UserError, match="channels is 1, but the pretrained weights take 3"):
        load_classifier("animal", {"timm": "test_resnet.r160_in1k", "channels": 1})


def test_an_architecture_without_pretrained_weights_is_said(monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda address: False)
    with pytest.raises(UserError, match=r"no usable pretrained weights for nf_resnet26 .*checkpoint: resources"):
        load_classifier("animal", {"timm": "nf_resnet26"})
