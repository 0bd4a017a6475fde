"""What a gate says of an autoencoder, on cases that one can work out by hand."""

import numpy as np
import pytest
import torch

from pipeline.metrics.autoencoding import Autoencoding, Probed, linear_auroc, signal_to_noise

TWO, FOUR = ("absent", "present"), ("black", "red", "blond", "white")


def test_the_signal_is_told_in_decibels_of_each_image():
    images = torch.full((3, 3, 4, 4), 0.5)
    others = images + torch.tensor([0.1, 0.01, 0.0])[:, None, None, None]
    assert signal_to_noise(images, others).tolist() == pytest.approx([20.0, 40.0, np.inf], abs=1e-3)


def test_a_probe_orders_codes_along_the_line_between_two_values():
    line = np.arange(1.0, 5)[:, None]
    codes, values = np.concatenate([line - 10, line + 10]), np.repeat([0, 1], 4)
    assert linear_auroc(codes, values, codes, values) == 1
    assert linear_auroc(codes, values, line, np.array([0, 1, 0, 1])) == 0.75  # three pairs of four in order


def test_of_more_values_each_is_held_against_the_rest():
    codes, values = np.eye(3).repeat(5, 0), np.arange(3).repeat(5)
    assert linear_auroc(codes, values, codes, values) == 1
    assert linear_auroc(codes, values, np.zeros_like(codes), values) == 0.5


def test_one_value_alone_tells_nothing():
    codes = np.random.default_rng(0).normal(size=(6, 2))
    assert linear_auroc(codes, np.zeros(6), codes, np.array([0, 1] * 3)) is None
    assert linear_auroc(codes, np.array([0, 1] * 3), codes, np.ones(6)) is None


@pytest.mark.parametrize(
    ("signal", "concepts", "failing"),
    [
        ([28.0, 28.2], {}, []),
        ([27.0, 28.8], {}, ["the mean"]),
        ([30.0], {"smile": Probed(TWO, 0.98), "hair": Probed(FOUR, 0.6), "hat": Probed(TWO, None)}, []),
        ([30.0], {"hat": Probed(TWO, 0.99), "smile": Probed(TWO, 0.97)}, ["smile"]),
    ],
)
def test_the_gate_asks_for_the_mean_signal_and_for_concepts_of_two_values(signal, concepts, failing):
    assert Autoencoding(torch.tensor(signal), 50, concepts, 10, 10).failing == failing
