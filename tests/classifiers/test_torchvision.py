"""Networks of torchvision: their published weights, those of the library robustness, and fresh ones."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from pipeline.classifiers.identity import identify
from pipeline.classifiers.load import load_classifier
from pipeline.errors import UserError
from pipeline.imagenet import class_names
from tests.test_weights import MEAN, STD, robustness

SMALL = "shufflenet_v2_x0_5"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return models.get_model(SMALL, weights=None).eval()


@pytest.fixture(scope="module")
def published(network, tmp_path_factory):
    """The weights as torchvision publishes them: a state dict under the name that its address has."""
    path = tmp_path_factory.mktemp("weights") / "shufflenetv2_x0.5-f707e7126e.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def images():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_logits_are_those_of_torchvision_on_normalised_images(network, published, images):
    classifier = load_classifier("mine", {"torchvision": SMALL, "checkpoint": str(published), "size": 64})
    mean, std = (torch.tensor(each).reshape(3, 1, 1) for each in (MEAN, STD))
    assert torch.allclose(classifier(images), network((images - mean) / std), atol=1e-5)
    assert classifier.heads["label"].classes == class_names() and not classifier.network.training


def test_size_and_normalisation_are_those_of_the_published_weights(published):
    classifier = load_classifier("mine", {"torchvision": SMALL, "checkpoint": str(published)})
    assert classifier.size == 224
    assert np.allclose(classifier.mean.flatten(), MEAN) and np.allclose(classifier.std.flatten(), STD)


@pytest.mark.parametrize(("file", "size"), [("swin_b-68c6b09e.pth", 224), ("regnet_y_16gf_swag-43afe44d.pth", 384)])
def test_the_name_of_the_file_tells_which_of_the_published_weights_it_holds(file, size):
    from pipeline.classifiers.entry import Network
    from pipeline.classifiers.formats.torchvision import published_input

    name = file.split("-")[0].removesuffix("_swag")
    assert published_input(Network(torchvision=name, checkpoint=f"resources/{file}"))[0] == size


def test_a_checkpoint_of_robustness_loads_with_its_own_normalisation(tmp_path):
    torch.manual_seed(5)
    options = {"width_per_group": 4}
    network = models.resnet50(**options).eval()
    state = robustness(network.state_dict())
    state["module.normalizer.new_mean"] += 0.1
    torch.save({"model": state, "epoch": 2}, tmp_path / "robust.pt")
    entry = {"torchvision": "resnet50", "checkpoint": str(tmp_path / "robust.pt"), "options": options}
    classifier = load_classifier("robust", entry)
    assert all(torch.equal(classifier.network.state_dict()[key], value) for key, value in network.state_dict().items())
    assert np.allclose(classifier.mean.flatten(), np.array(MEAN) + 0.1)
    assert np.allclose(load_classifier("robust", {**entry, "mean": 0.5}).mean, 0.5), "what the entry says wins"


def test_fresh_weights_follow_from_their_seed_alone(images):
    entry = {"torchvision": SMALL, "random_weights": 7, "classes": ["a", "b"], "size": 64}
    state = torch.random.get_rng_state()
    first = load_classifier("control", entry)(images)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(load_classifier("another", entry)(images), first) and first.shape == (2, 2)
    assert not torch.equal(load_classifier("control", {**entry, "random_weights": 8})(images), first)
    assert identify("control", entry) == {**entry, "classes": ["a", "b"]}


def test_a_timm_network_can_have_fresh_weights_too(images):
    entry = {"timm": "test_resnet", "random_weights": 7, "classes": ["a", "b"], "size": 64}
    first = load_classifier("control", entry)(images)
    assert first.shape == (2, 2) and torch.equal(load_classifier("control", entry)(images), first)


def test_as_many_outputs_as_the_weights_have(tmp_path, images):
    save_file(models.get_model(SMALL, weights=None, num_classes=3).state_dict(), tmp_path / "three.safetensors")
    entry = {"torchvision": SMALL, "checkpoint": str(tmp_path / "three.safetensors"), "size": 64}
    assert load_classifier("mine", {**entry, "classes": ["a", "b", "c"]})(images).shape == (2, 3)
    two = load_classifier("mine", {**entry, "classes": ["no", "yes"], "output": {"sigmoid": 2}})
    assert two(images).shape == (2, 2)
    with pytest.raises(UserError, match=r"has 3 outputs, but `classes` has 2 names"):
        load_classifier("mine", {**entry, "classes": ["a", "b"]})
    with pytest.raises(UserError, match=r"needs the names of its classes"):
        load_classifier("mine", entry)


def test_the_identity_is_the_content_of_the_checkpoint(published, tmp_path):
    (tmp_path / "moved.pth").write_bytes(published.read_bytes())
    first, second = (
        identify(name, {"torchvision": SMALL, "checkpoint": str(path)})
        for name, path in (("one", published), ("two", tmp_path / "moved.pth"))
    )
    assert first == second and first["torchvision"] == SMALL and first["checkpoint"].startswith("sha256:")


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"torchvision": "swin_bb"}, "torchvision has no classifier 'swin_bb'; did you mean 'swin_b'?"),
        ({"torchvision": "fcn_resnet50"}, "torchvision has no classifier 'fcn_resnet50'"),
        ({"torchvision": "swin_b"}, r"needs `checkpoint`.*models/swin_b-68c6b09e.pth\), or `random_weights: 1`"),
        ({"torchvision": "alexnet", "checkpoint": "absent.pth"}, "absent.pth does not exist"),
        ({"torchvision": SMALL, "random_weights": 1, "options": {"wide": 2}}, "torchvision cannot build"),
        ({"torchvision": SMALL, "random_weights": 1, "options": {"num_classes": 2}}, "leave it out"),
        (
            {"torchvision": SMALL, "random_weights": 1, "checkpoint": "a"},
            "checkpoint and random_weights are both",
        ),
        ({"torchvision": SMALL, "random_weights": -1}, "random_weights: input should be greater than or equal to 0"),
        ({"onnx": "a.onnx", "random_weights": 1}, "belongs to a timm or torchvision entry, not to onnx"),
    ],
)
def test_a_wrong_entry_is_answered_in_a_sentence(entry, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        load_classifier("mine", entry)
    assert str(error.value).startswith("classifier 'mine'")
