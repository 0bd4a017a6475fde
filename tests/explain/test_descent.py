"""One small parameter for each image, optimised side by side."""

import pytest
import torch

from pipeline.explain.descent import Descent, optimise


def pull(target):
    """Load and gradient of |parameters - target|^2 / 2 for each image."""

    def gradient(loaded, parameters, step):
        difference = parameters.detach() - loaded
        return difference, difference.square().sum(dim=(1, 2)) / 2

    return lambda rows: target[rows], gradient


def targets(rows):
    return torch.randn(rows, 2, 3, generator=torch.Generator().manual_seed(1))


def test_the_rate_falls_linearly_and_the_last_step_still_moves():
    assert Descent(300, 0.05).rate(0) == 0.05 and Descent(300, 0.05).rate(299) == pytest.approx(0.05 / 300)
    assert Descent(300, 0.05, decays=False).rate(299) == 0.05


def test_the_first_step_of_adam_is_as_long_as_the_rate_whatever_the_slope():
    found = optimise(torch.zeros(1, 2, 3), *pull(targets(1)), Descent(1, 0.1), side_by_side=1, bounds=(-9, 9))
    assert torch.allclose(found.parameters, 0.1 * targets(1).sign())
    assert torch.allclose(found.objective, targets(1).square().sum(dim=(1, 2)) / 2)


@pytest.mark.parametrize("side_by_side", [1, 2, 3, 8])
def test_every_image_is_optimised_in_batches_of_one_shape(side_by_side):
    target, seen, finished = targets(5), [], []
    load, gradient = pull(target)

    def watched(loaded, parameters, step):
        seen.append((tuple(parameters.shape), step))
        return gradient(loaded, parameters, step)

    start = torch.zeros(5, 2, 3)
    found = optimise(
        start, load, watched, Descent(150, 0.3), side_by_side=side_by_side, bounds=(-9, 9), progress=finished.append
    )
    assert torch.allclose(found.parameters, target, atol=0.05)
    assert {shape for shape, _ in seen} == {(side_by_side, 2, 3)}
    assert [step for _, step in seen] == [*range(150)] * -(-5 // side_by_side)
    assert sum(finished) == 5 and not start.any()


def test_parameters_stay_within_their_bounds():
    found = optimise(
        torch.zeros(1, 2, 3), *pull(targets(1) * 100), Descent(50, 0.1), side_by_side=1, bounds=(-0.5, 0.25)
    )
    assert found.parameters.min() == -0.5 and found.parameters.max() == 0.25
