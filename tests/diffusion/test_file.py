"""Diffusion models in files: ours, and those in the official format."""

import pytest
import torch

from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.autoencoder_shape import AutoencoderShape
from pipeline.diffusion.description import Description
from pipeline.diffusion.file import load_model, save_model
from pipeline.diffusion.load import load_generator
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.errors import UserError
from pipeline.unet_shape import Shape
from tests.diffusion.conftest import SMALL, small_unet

SCHEDULE = {"name": "linear", "steps": 1000}
DESCRIPTION = Description("unet", Shape(16, **SMALL), SCHEDULE, "velocity")


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "small.safetensors"
    save_model(small_unet().state_dict(), path, DESCRIPTION, metadata={"steps": 3})
    return path


def test_a_saved_model_predicts_as_before_up_to_half_precision(ours):
    network, description = load_model(ours, "generator 'small'")
    assert description == DESCRIPTION
    images, at = torch.randn(2, 3, 16, 16), torch.tensor([3.0, 800.0])
    before, after = small_unet()(images, at), network(images, at)
    assert (before - after).abs().max() < 5e-3 * before.abs().max()
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_equal_models_give_equal_bytes(ours, tmp_path):
    save_model(small_unet().state_dict(), tmp_path / "again.safetensors", DESCRIPTION, metadata={"steps": 3})
    assert (tmp_path / "again.safetensors").read_bytes() == ours.read_bytes()


def test_an_official_checkpoint_loads_as_it_is(tmp_path):
    network = small_unet(order="legacy", classes=4)
    torch.save(network.state_dict(), tmp_path / "official.pt")
    described = Description("unet", network.shape, SCHEDULE)
    loaded, _ = load_model(tmp_path / "official.pt", "generator 'imagenet'", described)
    images, at, classes = torch.randn(1, 3, 16, 16), torch.tensor([40.0]), torch.tensor([2])
    assert torch.equal(loaded(images, at, classes), network(images, at, classes))


def test_a_noisy_classifier_has_its_classes(tmp_path):
    shape = Shape(16, **{**SMALL, "out_channels": 2})
    path = tmp_path / "noisy.safetensors"
    save_model(
        NoisyClassifier(shape).state_dict(), path, Description("noisy-classifier", shape, SCHEDULE, classes=["a", "b"])
    )
    network, description = load_model(path, "network 'noisy'")
    assert isinstance(network, NoisyClassifier) and list(description.classes) == ["a", "b"]


def test_an_autoencoder_in_a_file_gives_the_same_codes_and_says_how_it_walks(tmp_path):
    shape = AutoencoderShape(16, 32, (1, 2), (1, 2), blocks=1, attention=(8,), semantic=24, dropout=0.0)
    network, path = DiffusionAutoencoder(shape).eval(), tmp_path / "restores.safetensors"
    described = Description("autoencoder", shape, {"name": "cosine", "steps": 100}, "velocity")
    save_model(network.state_dict(), path, described, half=False)
    loaded, told = load_model(path, "generator 'restores'")
    assert told == described
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(loaded.encoder(images), network.encoder(images))
    with pytest.raises(UserError, match="generator 'restores' is a diffusion autoencoder; name a diffusion model here"):
        load_generator("restores", {"file": str(path)})


def test_weights_of_another_width_are_refused_with_names(tmp_path):
    torch.save(small_unet(channels=64).state_dict(), tmp_path / "wide.pt")
    with pytest.raises(UserError, match=r"generator 'wide': the weights in .* do not fit the architecture"):
        load_model(tmp_path / "wide.pt", "generator 'wide'", DESCRIPTION)


def test_a_pickle_that_runs_code_is_refused_unread(tmp_path):
    class Harm:
        def __reduce__(self):
            return (open, (str(tmp_path / "harmed"), "w"))

    torch.save({"x": Harm()}, tmp_path / "harm.pt")
    with pytest.raises(UserError, match="reading it could run code, so it was refused"):
        load_model(tmp_path / "harm.pt", "generator 'harm'", DESCRIPTION)
    assert not (tmp_path / "harmed").exists()


def test_files_that_say_nothing_or_are_not_there_are_named(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(UserError, match="has weights but no description of a diffusion model; for an official"):
        load_model(tmp_path / "bare.safetensors", "generator 'bare'")
    with pytest.raises(UserError, match=r"generator 'gone': .* does not exist"):
        load_model(tmp_path / "gone.safetensors", "generator 'gone'")
    with pytest.raises(UserError, match="there is no kind of diffusion model 'unett'; use unet"):
        Description("unett", DESCRIPTION.shape, SCHEDULE)
