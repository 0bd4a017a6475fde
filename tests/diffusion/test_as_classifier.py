"""A classifier of noisy images judges clean ones."""

import pytest
import torch

from pipeline.classifiers.identity import identify
from pipeline.classifiers.load import load_classifier
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.errors import UserError
from pipeline.imagenet import class_names
from pipeline.unet_shape import Shape
from tests.diffusion.conftest import SMALL, small_unet

SIZE = 16
LINEAR = {"name": "linear", "steps": 1000}
CHANGED = {"size": SIZE, **{key: list(value) if isinstance(value, tuple) else value for key, value in SMALL.items()}}


def small_classifier(outputs: int) -> NoisyClassifier:
    torch.manual_seed(1)
    network = NoisyClassifier(Shape(**{"size": SIZE, **SMALL, "out_channels": outputs}))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.08)
    return network.eval()


@pytest.fixture
def images():
    return torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A file of ours, which tells its three classes."""
    network = small_classifier(3)
    path = tmp_path_factory.mktemp("ours") / "noisy.safetensors"
    description = Description("noisy-classifier", network.shape, LINEAR, classes=["a", "b", "c"])
    save_model(network.state_dict(), path, description, half=False)
    return path


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A file with the keys of the official 256x256_classifier.pt, at a small width."""
    path = tmp_path_factory.mktemp("official") / "16x16_classifier.pt"
    torch.save(small_classifier(1000).state_dict(), path)
    return path


def official_entry(path):
    return {"noisy_classifier": str(path), "preset": "imagenet-256-classifier", "shape": CHANGED}


def test_logits_are_those_of_the_network_at_timestep_0(ours, images):
    classifier = load_classifier("noisy", {"noisy_classifier": str(ours), "task": "look"})
    expected = small_classifier(3)(images * 2 - 1, torch.zeros(3))
    assert torch.allclose(classifier(images), expected, atol=1e-6)
    assert classifier.heads["look"].classes == ("a", "b", "c") and classifier.size == SIZE


def test_it_gives_gradients_and_takes_other_sizes(ours, images):
    classifier = load_classifier("noisy", {"noisy_classifier": str(ours)})
    larger = torch.nn.functional.interpolate(images, size=32).requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(larger).square().sum(), larger)
    assert torch.isfinite(gradient).all() and gradient.abs().sum() > 0


def test_an_official_checkpoint_tells_the_classes_of_imagenet(official, images):
    classifier = load_classifier("noisy", official_entry(official))
    assert classifier.heads["label"].classes == class_names()
    assert torch.allclose(classifier(images), small_classifier(1000)(images * 2 - 1, torch.zeros(3)), atol=1e-6)


def test_the_identity_is_the_content_of_the_file(ours, official, tmp_path):
    (tmp_path / "moved.safetensors").write_bytes(ours.read_bytes())
    assert identify("one", {"noisy_classifier": str(ours)}) == identify(
        "two", {"noisy_classifier": str(tmp_path / "moved.safetensors")}
    )
    told = identify("three", official_entry(official))
    assert told["preset"] == "imagenet-256-classifier" and told["shape"] == CHANGED
    assert told["noisy_classifier"].startswith("sha256:")


def test_a_file_that_does_not_say_what_it_is_needs_a_preset(official):
    with pytest.raises(UserError, match=r"does not say what it is; add .*`preset: imagenet-256-classifier`"):
        load_classifier("noisy", {"noisy_classifier": str(official)})


def test_a_diffusion_model_is_no_classifier(tmp_path):
    network: UNet = small_unet()
    save_model(network.state_dict(), tmp_path / "unet.safetensors", Description("unet", network.shape, LINEAR))
    with pytest.raises(UserError, match=r"holds a diffusion model; give the file of a noisy classifier"):
        load_classifier("noisy", {"noisy_classifier": str(tmp_path / "unet.safetensors")})
    with pytest.raises(UserError, match=r"imagenet-256 is a unet; a classifier is imagenet-256-classifier"):
        load_classifier("noisy", {"noisy_classifier": str(tmp_path / "unet.safetensors"), "preset": "imagenet-256"})


def test_the_size_is_fixed(ours):
    with pytest.raises(UserError, match="size is 32, but the network takes 16 only"):
        load_classifier("noisy", {"noisy_classifier": str(ours), "size": 32})


def test_weights_of_another_shape_are_told(official):
    entry = {**official_entry(official), "shape": {**CHANGED, "blocks": 2}}
    with pytest.raises(UserError, match="do not fit the architecture: the file lacks"):
        load_classifier("noisy", entry)
