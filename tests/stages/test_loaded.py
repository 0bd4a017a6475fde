"""Networks and generators of a job: each of its kind, at one size, loaded once."""

from types import SimpleNamespace

import pytest

from pipeline.diffusion.description import Description
from pipeline.diffusion.file import save_model
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.errors import UserError
from pipeline.stages.common import Job
from pipeline.stages.loaded import Networks
from pipeline.unet_shape import Shape
from tests.diffusion.conftest import SMALL, small_unet

LINEAR = {"name": "linear", "steps": 1000}


@pytest.fixture
def networks(tmp_path):
    """Generators of several kinds, by name."""
    conditional = small_unet(classes=4)
    guides = {size: Shape(size, **{**SMALL, "out_channels": 2}) for size in (16, 32)}
    saved = {
        "adm": (small_unet().state_dict(), Description("unet", small_unet().shape, LINEAR)),
        "conditional": (conditional.state_dict(), Description("unet", conditional.shape, LINEAR)),
        **{
            f"guide-{size}": (NoisyClassifier(shape).state_dict(), Description("noisy-classifier", shape, LINEAR))
            for size, shape in guides.items()
        },
    }
    for name, (state, description) in saved.items():
        save_model(state, tmp_path / f"{name}.safetensors", description)
    entries = {name: {"file": str(tmp_path / f"{name}.safetensors")} for name in saved}
    return Networks(SimpleNamespace(generators=entries, networks={}, seed=1), Job(), {})


def test_a_generator_is_loaded_once(networks):
    assert networks.denoiser("adm") is networks.denoiser("adm")


def test_a_generator_that_must_be_told_a_class_is_refused(networks):
    with pytest.raises(UserError, match="generator 'conditional' must be told a class of its own"):
        networks.denoiser("conditional")


def test_a_guide_has_the_size_of_the_generator(networks):
    denoiser = networks.denoiser("adm")
    assert networks.guide("guide-16", denoiser).shape.size == 16
    with pytest.raises(UserError, match="guide 'guide-32' takes images of 32 pixels and the generator makes"):
        networks.guide("guide-32", denoiser)


def test_a_generator_of_the_other_kind_is_told(networks):
    with pytest.raises(UserError, match="generator 'guide-16' is a classifier of noised images; name a diffusion"):
        networks.denoiser("guide-16")
    with pytest.raises(UserError, match="generator 'adm' is a diffusion model; name a classifier of noised images"):
        networks.guide("adm", networks.denoiser("adm"))
