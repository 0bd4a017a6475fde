"""Networks that a person's own function makes."""

import sys

import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError

SOURCE = """
import torch
from neighbour import SCALE

class Network(torch.nn.Module):
    def forward(self, images):
        return images.mul_(SCALE).mean(dim=(2, 3))

def load():
    return Network()

def load_function():
    return lambda images: images.mean(dim=(2, 3))

def load_number():
    return 3

def load_numpy():
    return lambda images: torch.from_numpy(images.detach().numpy().mean(axis=(2, 3)))
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with modules of its own, forgotten afterwards."""
    (tmp_path / "my_networks").mkdir()
    (tmp_path / "my_networks" / "mine_too.py").write_text(SOURCE)
    (tmp_path / "my_network.py").write_text(SOURCE)
    (tmp_path / "neighbour.py").write_text("SCALE = 2.0\n")
    monkeypatch.chdir(tmp_path)
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if name.startswith(("my_network", "neighbour", "entry_point_")):
            del sys.modules[name]


def entry(entry_point, **options):
    return {"entry_point": entry_point, "classes": ["red", "green", "blue"], **options}


@pytest.mark.parametrize(
    "entry_point",
    ["my_network:load", "my_network.py:load", "my_networks.mine_too:load", "./my_networks/mine_too.py:load"],
)
def test_a_module_in_the_working_directory_or_a_path_gives_the_network(entry_point, project, images):
    kept = images.clone()
    leaf = images.requires_grad_()
    classifier = load_classifier("mine", entry(entry_point, size=16))
    logits = classifier(leaf)
    assert torch.allclose(logits, 2 * kept.mean(dim=(2, 3))) and torch.equal(images.detach(), kept)
    logits.sum().backward()
    assert torch.allclose(leaf.grad, torch.full_like(leaf, 2 / 256))


def test_a_plain_function_is_a_network_too(project, images):
    classifier = load_classifier("mine", entry("my_network:load_function", mean=0.5, std=0.5))
    assert torch.allclose(classifier(images), ((images - 0.5) / 0.5).mean(dim=(2, 3)), atol=1e-6)


def test_a_function_without_gradients_must_be_called_a_black_box(project, images):
    images.requires_grad_()
    with pytest.raises(UserError, match="without gradients"):
        load_classifier("mine", entry("my_network:load_numpy"))(images)
    assert load_classifier("mine", entry("my_network:load_numpy", differentiable=False))(images).shape == (5, 3)


def test_heads_of_a_readers_entry_point_come_from_its_classes(project, images):
    heads = {"warm": ["no", "yes"], "size": ["small", "middle", "large"]}
    (project / "reader.py").write_text(
        "def load():\n    return lambda images: images.mean(dim=(2, 3))[:, [0, 1, 2, 0, 1]]\n"
    )
    reader = load_classifier("reader", {"entry_point": "reader.py:load", "classes": heads})
    assert list(reader.heads) == ["warm", "size"] and reader(images).shape == (5, 5)
    chosen = load_classifier("reader", {"entry_point": "reader.py:load", "classes": heads, "task": "size"})
    assert chosen.classes == ("small", "middle", "large") and torch.equal(chosen(images), reader(images)[:, 2:])


@pytest.mark.parametrize(
    ("entry_point", "sentence"),
    [
        ("my_network", r"expected module:function or path/to/file\.py:function"),
        ("my_network:", "expected module:function"),
        ("nowhere.at.all:load", "no module 'nowhere.at.all' to import"),
        ("my_networks.nowhere:load", "no module 'my_networks.nowhere' to import"),
        ("nowhere.py:load", r"nowhere\.py does not exist"),
        ("my_network:laod", "no function 'laod'; did you mean 'load'"),
        ("my_network:load_number", r"returned a int, expected a torch\.nn\.Module or a function"),
    ],
)
def test_a_wrong_entry_point_is_said(entry_point, sentence, project):
    with pytest.raises(UserError, match=sentence):
        load_classifier("mine", entry(entry_point))


def test_an_error_in_the_persons_own_code_keeps_its_traceback(project):
    (project / "broken.py").write_text("def load():\n    return {}['weights']\n")
    with pytest.raises(KeyError, match="weights"):
        load_classifier("mine", entry("broken.py:load"))


def test_the_names_of_the_classes_must_be_given(project):
    with pytest.raises(UserError, match="needs the names of its classes, since entry_point does not tell them"):
        load_classifier("mine", {"entry_point": "my_network:load"})
