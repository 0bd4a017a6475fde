"""What a classifier is, apart from where it lies and what it is called."""

import hashlib
import json
import subprocess
import sys

import pytest

from pipeline.classifiers.identity import identify
from pipeline.errors import UserError
from pipeline.workflow.trained import network_files


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


def test_what_rows_are_kept_by_stays_as_it_is(folder):
    entry = {"timm": "resnet18", "checkpoint": "weights", "classes": ["a", "b"], "mean": 0.0, "output": {"sigmoid": 1}}
    digest = f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert identify("mine", entry) == {**entry, "checkpoint": digest}
    shape = {"size": 64, "channels": 32, "multipliers": [1.0, 2.0]}
    noisy = {"noisy_classifier": "weights", "shape": shape, "classes": {"smile": ["a", "b"]}, "temperature": 2.0}
    assert identify("mine", noisy) == {**noisy, "noisy_classifier": digest}


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


def script(folder, **options):
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / "mine.py").write_text("from helper import scale\nimport deep.inner\nFILE = 'mine.pth'\n")
    (folder / "models" / "helper.py").write_text("import common\nscale = 2\n")
    (folder / "models" / "deep").mkdir(exist_ok=True)
    (folder / "models" / "deep" / "__init__.py").write_text("from . import beside\n")
    (folder / "models" / "deep" / "inner.py").write_text("")
    (folder / "models" / "deep" / "beside.py").write_text("")
    (folder / "models" / "mine.pth").write_text("weights")
    (folder / "models" / "unused.py").write_text("")
    (folder / "common.py").write_text("import models.mine, torch, nowhere\n")
    return {"entry_point": "models/mine.py:load", "classes": ["a", "b"], **options}


def test_an_entry_point_is_all_that_it_imports_from_beside_it_and_names(folder):
    entry = script(folder)
    first = identify("mine", entry)
    used = ["helper.py", "deep/__init__.py", "deep/inner.py", "deep/beside.py", "mine.pth", "../common.py"]
    for file in used:
        path = folder / "models" / file
        before = path.read_bytes()
        path.write_bytes(before + b"#")
        assert identify("mine", entry) != first, file
        path.write_bytes(before)
    assert identify("mine", entry) == first
    (folder / "models" / "unused.py").write_text("#")
    assert identify("mine", entry) == first
    files = {str((folder / file).resolve()) for file in network_files(entry)}
    assert files == {str((folder / "models" / file).resolve()) for file in ["mine.py", *used]}


def test_files_under_watch_count_by_their_content(folder):
    entry = script(folder, watch=["weights"])
    first = identify("mine", entry)
    (folder / "weights").rename(folder / "moved")
    assert identify("mine", {**entry, "watch": ["moved"]}) == first != identify("mine", script(folder))
    (folder / "moved").write_text("other")
    assert identify("mine", {**entry, "watch": ["moved"]}) != first
    assert network_files({**entry, "watch": ["moved"]})[-1] == "moved"
    with pytest.raises(UserError, match="gone does not exist"):
        identify("mine", {**entry, "watch": ["gone"]})


def test_source_that_python_cannot_read_is_one_file(folder):
    (folder / "my_entry.py").write_text("def load(:\n    '''")
    assert network_files({"entry_point": "my_entry:load"}) == [str(folder / "my_entry.py")]
