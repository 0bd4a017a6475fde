"""What a classifier is, apart from where it lies and what it is called."""

import hashlib
import json
import subprocess
import sys

import pytest

from pipeline.classifiers.identity import identify
from pipeline.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "weights").write_bytes(b"weights")
    (tmp_path / "my_entry.py").write_text("def load():\n    raise RuntimeError('identity must not run this')\n")
    return tmp_path


ENTRIES = [
    ("weights", "moved", lambda path: {"file": path}),
    ("weights", "moved", lambda path: {"timm": "resnet18", "checkpoint": path, "classes": ["a", "b"]}),
    ("weights", "moved", lambda path: {"torch_export": path, "classes": ["a", "b"], "trusted": True}),
    ("weights", "moved", lambda path: {"torchscript": path, "classes": ["a", "b"], "trusted": True}),
    ("weights", "moved", lambda path: {"onnx": path, "classes": ["a", "b"]}),
    ("my_entry.py", "moved.py", lambda path: {"entry_point": f"{path}:load", "classes": ["a", "b"]}),
]


@pytest.mark.parametrize(("name", "moved", "entry"), ENTRIES, ids=lambda value: None)
def test_a_file_that_moves_is_the_same_and_one_that_changes_is_another(name, moved, entry, folder):
    first = identify("first", entry(name))
    assert json.loads(json.dumps(first)) == first
    (folder / name).rename(folder / moved)
    assert identify("second", entry(moved)) == first
    (folder / moved).write_bytes((folder / moved).read_bytes() + b"#")
    assert identify("second", entry(moved)) != first


def test_the_digest_is_that_of_the_file(folder):
    assert identify("mine", {"file": "weights"}) == {"file": f"sha256:{hashlib.sha256(b'weights').hexdigest()}"}


def test_an_entry_point_is_found_without_running_it(folder):
    by_module = identify("mine", {"entry_point": "my_entry:load", "classes": ["a", "b"]})
    by_path = identify("mine", {"entry_point": "my_entry.py:load", "classes": ["a", "b"]})
    assert by_module == by_path and by_path["entry_point"].endswith(":load")
    other = identify("mine", {"entry_point": "my_entry:load_other", "classes": ["a", "b"]})
    assert other != by_module


def test_defaults_said_aloud_and_lists_or_tuples_make_no_difference(folder):
    spoken = {
        "timm": "resnet18",
        "checkpoint": "weights",
        "classes": ("a", "b"),
        "size": None,
        "temperature": 1,
        "classifier_perturbation": 0,
        "differentiable": True,
        "options": {},
        "sha256": hashlib.sha256(b"weights").hexdigest(),
    }
    assert identify("mine", spoken) == identify(
        "mine", {"timm": "resnet18", "checkpoint": "weights", "classes": ["a", "b"]}
    )


@pytest.mark.parametrize(
    "option",
    [{"size": 64}, {"mean": 0.5}, {"temperature": 2.0}, {"classifier_perturbation": 0.1}, {"output": {"sigmoid": 1}}],
)
def test_every_option_that_decides_logits_makes_another_classifier(option, folder):
    entry = {"onnx": "weights", "classes": ["a", "b"]}
    assert identify("mine", {**entry, **option}) != identify("mine", entry)


def test_trust_decides_nothing_about_a_network(folder):
    entry = {"entry_point": "my_entry.py:load", "classes": ["a", "b"]}
    assert identify("mine", {**entry, "trusted": True}) == identify("mine", entry)


def test_the_hubs_weights_are_their_name(folder):
    assert identify("hub", {"timm": "resnet18.a1_in1k", "size": 64}) == {"timm": "resnet18.a1_in1k", "size": 64}


def test_another_digest_than_expected_and_a_missing_file_are_said(folder):
    with pytest.raises(UserError, match=f"weights has sha256 .*, expected {'0' * 64}"):
        identify("mine", {"file": "weights", "sha256": "0" * 64})
    with pytest.raises(UserError, match="'mine': nowhere does not exist"):
        identify("mine", {"file": "nowhere"})


def test_naming_a_classifier_needs_no_torch():
    code = "import sys, pipeline.classifiers.identity; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
