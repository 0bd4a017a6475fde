"""Weights in files of every usual kind are found, and nothing else in such a file comes to life."""

import argparse
import io
import os
import pickle
import tarfile
from pathlib import Path

import dill
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import UserError
from pipeline.weights import WeightsUnpickler, read_checkpoint

STATE = {"conv1.weight": torch.arange(6.0).reshape(1, 6), "bn1.num_batches_tracked": torch.tensor(7)}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class MakesFolder:
    """Its pickle makes the folder `executed` in the working directory when it is read."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


class Options:
    """An object of a training script."""

    def __init__(self):
        self.lr = 0.1
        self.schedule = [lambda epoch: epoch + 1]


def robustness(state):
    """What the library robustness saves of a network."""
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (MEAN, STD))
    return {
        "module.normalizer.new_mean": mean,
        "module.normalizer.new_std": std,
        "module.attacker.normalize.new_mean": mean,
        "module.attacker.normalize.new_std": std,
        **{f"module.model.{key}": value for key, value in state.items()},
        **{f"module.attacker.model.{key}": value + 1 for key, value in state.items()},
    }


def equal(weights, state=STATE):
    return list(weights) == list(state) and all(torch.equal(weights[key], state[key]) for key in state)


@pytest.mark.parametrize("key", ["state_dict", "model", "state_dict_ema", None])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.module."])
def test_the_state_dict_is_found_in_what_a_training_script_saved(tmp_path, key, prefix):
    state = {prefix + name: value for name, value in STATE.items()}
    torch.save({key: state, "epoch": 3} if key else state, tmp_path / "mine.pth")
    assert equal(read_checkpoint("mine", tmp_path / "mine.pth").weights)


def test_weights_of_openmmlab_lose_the_names_of_backbone_and_head(tmp_path):
    state = {"backbone.conv1.weight": STATE["conv1.weight"], "head.fc.bias": torch.ones(2)}
    torch.save({"meta": {"epoch": 90}, "state_dict": state}, tmp_path / "linear.pth")
    weights = read_checkpoint("mine", tmp_path / "linear.pth").weights
    assert equal(weights, {"conv1.weight": STATE["conv1.weight"], "fc.bias": torch.ones(2)})


def test_safetensors_are_weights_alone(tmp_path):
    save_file(STATE, tmp_path / "mine.safetensors")
    checkpoint = read_checkpoint("mine", tmp_path / "mine.safetensors")
    assert checkpoint.weights.keys() == STATE.keys() and checkpoint.mean is checkpoint.std is None


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_checkpoint_of_robustness_gives_its_network_and_normalisation(tmp_path, zipped):
    content = {"model": robustness(STATE), "optimizer": {"lr": 0.1}, "epoch": 89, "args": Options()}
    path = tmp_path / "l2.pt"
    torch.save(content, path, pickle_module=dill, _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint("mine", path)
    assert equal(checkpoint.weights)
    assert checkpoint.mean == pytest.approx(MEAN) and checkpoint.std == pytest.approx(STD)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("other", [MakesFolder, Options, argparse.Namespace, lambda: np.float64(0.5)])
def test_code_beside_the_weights_never_runs(tmp_path, monkeypatch, zipped, other):
    monkeypatch.chdir(tmp_path)
    content = {"other": other(), "state_dict": torch.nn.Linear(2, 1).state_dict(), "after": [other()]}
    torch.save(content, "mine.pt", pickle_module=dill, _use_new_zipfile_serialization=zipped)
    assert equal(read_checkpoint("mine", Path("mine.pt")).weights, content["state_dict"])
    assert not Path("executed").exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "content",
    [
        MakesFolder(),
        {"state_dict": MakesFolder()},
        {"state_dict": {"a": MakesFolder()}},
        {"state_dict": {"a": Options()}},
    ],
)
def test_code_in_place_of_the_weights_is_refused(tmp_path, monkeypatch, zipped, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "mine.pt", pickle_module=dill, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=r"mine: mine.pt holds more than weights, and reading it could run code"):
        read_checkpoint("mine", Path("mine.pt"))
    assert not Path("executed").exists()


@pytest.mark.parametrize("attribute", [b"function", b"__call__", b"another"])
def test_a_pickle_cannot_change_how_torch_makes_tensors(attribute):
    state = b"N}X" + len(attribute).to_bytes(4, "little") + attribute + b"Ns\x86"  # (None, {attribute: None})
    stream = io.BytesIO(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + state + b"b.")
    with pytest.raises((pickle.UnpicklingError, AttributeError)):
        WeightsUnpickler(stream).load()


def test_an_archive_that_torch_would_unpack_is_refused(tmp_path):
    (tmp_path / "storages").write_bytes(pickle.dumps(0))
    with tarfile.open(tmp_path / "mine.pt", "w") as archive:
        archive.add(tmp_path / "storages", "storages")
    with pytest.raises(UserError, match=r"mine.pt"):
        read_checkpoint("mine", tmp_path / "mine.pt")


@pytest.mark.parametrize("content", [b"", b"nonsense" * 99, b"PK\x03\x04broken"])
def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path, content):
    (tmp_path / "mine.pt").write_bytes(content)
    with pytest.raises(UserError, match=r"mine: .*mine.pt (is not a torch checkpoint|holds more than weights)"):
        read_checkpoint("mine", tmp_path / "mine.pt")
