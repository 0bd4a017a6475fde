"""Where torchmetrics has the same definition, the values are the same (it cannot take our noise, rows or files)."""

import pytest
import torch

from pipeline.metrics.networks.files import read_weights
from pipeline.metrics.networks.lpips import Lpips, bundled, channel_weights
from pipeline.metrics.perceptual import perceptual_distance
from pipeline.metrics.realism import frechet_distance, kernel_distance

GENERATOR = torch.Generator().manual_seed(11)
FIRST = torch.randn(60, 8, generator=GENERATOR)
SECOND = 1.5 * torch.randn(60, 8, generator=GENERATOR) + 0.3


class Features(torch.nn.Module):
    """Takes features for images."""

    num_features = 8

    def forward(self, features):
        return features


def test_frechet_distance():
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(Features(), normalize=True).set_dtype(torch.float64)
    metric.update(FIRST, real=True)
    metric.update(SECOND, real=False)
    assert frechet_distance(FIRST, SECOND) == pytest.approx(float(metric.compute()), rel=1e-5)


def test_kernel_distance():
    from torchmetrics.image.kid import poly_mmd

    assert kernel_distance(FIRST, SECOND, seed=0).value == pytest.approx(float(poly_mmd(FIRST, SECOND)), rel=1e-4)


def test_lpips():
    from torchmetrics.functional.image.lpips import _LPIPS, Alexnet

    theirs = _LPIPS(net="alex", pnet_rand=True)
    assert isinstance(theirs.net, Alexnet)
    slices = [getattr(theirs.net, f"slice{number}") for number in range(1, 6)]
    features = torch.nn.Sequential(*(module for part in slices for module in part))
    weights = channel_weights("lpips-alex", bundled("alex"), read_weights("lpips-alex", bundled("alex")))
    ours = Lpips("lpips-alex", features, (2, 5, 8, 10, 12), weights)
    images, others = torch.rand(2, 2, 3, 64, 64, generator=GENERATOR)
    expected = theirs(images, others, normalize=True).flatten()
    assert perceptual_distance(ours, images, others, batch_size=2).tolist() == pytest.approx(
        expected.tolist(), rel=1e-4
    )
