"""An entry as a person writes it."""

import re
import subprocess
import sys

import pytest

from pipeline.classifiers.entry import Network, require_classes
from pipeline.entry import parse_entry
from pipeline.errors import UserError


def test_an_entry_is_read_with_its_defaults():
    entry = parse_entry(
        Network, "mine", {"onnx": "a.onnx", "classes": ["no", "yes"], "output": {"sigmoid": [3, 1]}, "size": None}
    )
    assert (entry.name, entry.format, entry.source, entry.sigmoid) == ("mine", "onnx", "a.onnx", [3, 1])
    assert (entry.size, entry.temperature, entry.differentiable, entry.classifier_perturbation) == (
        None,
        None,
        True,
        0.0,
    )
    assert require_classes(entry) == {"label": ("no", "yes")}


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({}, "a classifier has exactly one of the keys file, trained, timm,"),
        ({"file": "a", "onnx": "b"}, "onnx, entry_point; here there is file and onnx."),
        ({"fiel": "a"}, "unknown key 'fiel'; did you mean 'file'?"),
        ({"onnx": "a", "temprature": 2}, "unknown key 'temprature'; did you mean 'temperature'?"),
        ({"onnx": "a", "xyz": 2}, "unknown key 'xyz'; valid keys are file, trained, timm,"),
        ({"onnx": 3}, "onnx: input should be a valid string, not 3."),
        ({"trained": "mine"}, "is the recipe mine of a study; give `file`"),
        ({"onnx": "a", "checkpoint": "b"}, "checkpoint belongs to a timm or torchvision entry, not to onnx"),
        ({"timm": "a", "checkpoint": "b", "random_weights": 1}, "checkpoint and random_weights are both given"),
        ({"file": "a", "size": 64}, "its file says size itself; leave size out"),
        ({"onnx": "a", "size": 0}, "size: input should be greater than or equal to 1, not 0."),
        ({"onnx": "a", "channels": 4}, "channels: input should be 1 or 3, not 4."),
        ({"onnx": "a", "mean": [0.5, 0.5]}, "mean has 2 numbers; give one, or one for each channel"),
        ({"onnx": "a", "temperature": 0}, "temperature: input should be greater than 0"),
        ({"onnx": "a", "temperature": float("nan")}, "temperature: input should be a finite number"),
        ({"onnx": "a", "output": {"sigmoid": -1}}, "input should be greater than or equal to 0, not -1."),
        ({"onnx": "a", "sha256": "abc"}, "sha256: string should match pattern"),
        # In YAML, bare no and yes are truth values.
        ({"onnx": "a", "classes": [False, True]}, "input should be a valid string, not False."),
    ],
)
def test_a_wrong_entry_is_answered_with_what_is_valid(entry, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        parse_entry(Network, "mine", entry)
    assert str(error.value).startswith("classifier 'mine'")


def test_entries_are_read_without_torch():
    code = "import sys, pipeline.classifiers.entry, pipeline.diffusion.entry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
