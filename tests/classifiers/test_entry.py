"""An entry as a person writes it."""

import re

import pytest

from pipeline.classifiers.entry import CHECKS, FORMATS, OPTIONS, parse_entry, require_classes
from pipeline.classifiers.load import LOADERS
from pipeline.errors import UserError


def test_every_option_has_a_check_and_every_format_a_loader():
    assert set(CHECKS) == set(OPTIONS)
    assert set(LOADERS) == set(FORMATS)


def test_an_entry_is_read_with_its_defaults():
    entry = parse_entry(
        "mine", {"onnx": "a.onnx", "classes": ["no", "yes"], "output": {"sigmoid": [3, 1]}, "size": None}
    )
    assert (entry.format, entry.source, entry.classes, entry.sigmoid) == ("onnx", "a.onnx", ("no", "yes"), (3, 1))
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
        ({}, "names no format; give exactly one of file, timm"),
        ({"file": "a", "onnx": "b"}, "names file and onnx; give exactly one"),
        ({"fiel": "a"}, "no option 'fiel'; did you mean 'file'?"),
        ({"onnx": "a", "temprature": 2}, "no option 'temprature'; did you mean 'temperature'?"),
        ({"onnx": "a", "xyz": 2}, "no option 'xyz'; valid ones are file, timm,"),
        ({"onnx": 3}, "onnx is 3, expected a path or name"),
        ({"onnx": "a", "checkpoint": "b"}, "checkpoint belongs to a timm or torchvision entry, not to onnx"),
        ({"file": "a", "size": 64}, "its file says size itself; leave size out"),
        ({"onnx": "a", "size": 0}, "size is 0, expected pixels, such as 64"),
        ({"onnx": "a", "channels": 4}, "channels is 4, expected 1 (grey) or 3 (RGB)"),
        ({"onnx": "a", "mean": [0.5, 0.5]}, "mean is [0.5, 0.5], expected a number or one for each channel"),
        ({"onnx": "a", "std": "one"}, "std is 'one', expected"),
        ({"onnx": "a", "temperature": 0}, "temperature is 0, expected a number above 0"),
        ({"onnx": "a", "temperature": float("nan")}, "temperature is nan, expected a number above 0"),
        ({"onnx": "a", "output": {"softmax": 1}}, "probabilities or {sigmoid: <column>}, such as {sigmoid: 31}"),
        ({"onnx": "a", "output": {"sigmoid": -1}}, "expected probabilities or {sigmoid: <column>}"),
        ({"onnx": "a", "classifier_perturbation": 1.5}, "expected a number in [0, 1]"),
        ({"onnx": "a", "differentiable": "no"}, "expected true or false"),
        ({"onnx": "a", "sha256": "abc"}, "expected 64 hexadecimal digits"),
        # In YAML, bare no and yes are truth values.
        ({"onnx": "a", "classes": [False, True]}, "classes is [False, True], expected a list of names in quotes"),
    ],
)
def test_a_wrong_entry_is_answered_with_a_valid_value(entry, sentence):
    with pytest.raises(UserError, match=re.escape(sentence)) as error:
        parse_entry("mine", entry)
    assert str(error.value).startswith("classifier 'mine'")
