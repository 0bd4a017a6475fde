"""Tiny real networks that the tests of classifiers share."""

import pytest
import torch

from pipeline.classifiers.file import build_network, save_classifier


def tiny_network(outputs: int = 3, channels: int = 3) -> torch.nn.Sequential:
    """A small convolutional network in evaluation mode, the same each time, with batch statistics of some images."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(channels, 4, 3, stride=2),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(inplace=True),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16, outputs),
    )
    network(torch.rand(8, channels, 16, 16))
    return network.eval()


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small run slower on several threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def images():
    """Five images (5, 3, 16, 16) in [0, 1]."""
    return torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="session")
def tiny():
    """The function that makes a tiny network."""
    return tiny_network


@pytest.fixture(scope="session")
def our_file(tmp_path_factory):
    """A file of our own format: a timm network with two heads at 32 pixels."""
    heads = {"smile": ["no", "yes"], "hat": ["none", "cap", "top"]}
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("ours") / "reader.safetensors"
    save_classifier(
        build_network("test_resnet", {}, heads),
        path,
        architecture="test_resnet",
        options={},
        heads=heads,
        size=32,
        mean=[0.5, 0.4, 0.3],
        std=0.25,
        temperature={"smile": 2.0, "hat": 1.0},
        extra_metadata={"accuracy": 0.9},
    )
    return path
