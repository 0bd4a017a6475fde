"""Adam in slots against torch's own, and the order in which images pass through."""

import pytest
import torch

from pipeline.explain.slots import Adam, Descent, optimise


def pull(target):
    """Load and gradient of |parameters - target|^2 / 2 for each image."""

    def gradient(loaded, parameters, taken):
        difference = parameters - loaded
        return difference, difference.square().sum(dim=(1, 2)) / 2

    return lambda rows: target[rows], gradient


def targets(rows):
    return torch.randn(rows, 2, 3, generator=torch.Generator().manual_seed(1))


def test_adam_is_torch_s_adam_with_a_rate_that_falls_linearly():
    target = targets(1)
    ours = optimise(torch.zeros(1, 2, 3), *pull(target), Descent(50, 0.1), slots=1, bounds=(-9, 9)).parameters
    theirs = torch.zeros(1, 2, 3, requires_grad=True)
    adam = torch.optim.Adam([theirs], lr=0.1)
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 1 - step / 50)
    for _ in range(50):
        adam.zero_grad()
        ((theirs - target) ** 2).sum().div(2).backward()
        adam.step()
        falling.step()
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_last_step_still_moves():
    assert Descent(300, 0.05).rate(0) == 0.05 and Descent(300, 0.05).rate(299) == pytest.approx(0.05 / 300)
    assert Descent(300, 0.05, decays=False).rate(299) == 0.05


def test_a_restarted_slot_forgets_and_the_others_do_not_notice():
    gradient = targets(2)
    fresh, used = Adam(torch.zeros(2, 2, 3)), Adam(torch.zeros(2, 2, 3))
    used.step(-gradient, [1, 1], [0.3, 0.3])
    used.restart([1], torch.zeros(1, 2, 3))
    before = used.parameters[0].clone()
    used.step(gradient, [2, 1], [0.1, 0.1])
    fresh.step(gradient, [1, 1], [0.1, 0.1])
    assert torch.equal(used.parameters[1], fresh.parameters[1])
    assert not torch.equal(used.parameters[0], before)


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_every_image_is_optimised_whatever_the_number_of_slots(slots):
    target, seen = targets(5), []
    load, gradient = pull(target)

    def watched(loaded, parameters, taken):
        seen.append((tuple(parameters.shape), tuple(taken)))
        return gradient(loaded, parameters, taken)

    found = optimise(torch.zeros(5, 2, 3), load, watched, Descent(30, 0.2), slots=slots, bounds=(-9, 9))
    alone = [
        optimise(torch.zeros(1, 2, 3), *pull(target[[row]]), Descent(30, 0.2), slots=slots, bounds=(-9, 9))
        for row in range(5)
    ]
    assert torch.equal(found.parameters, torch.cat([one.parameters for one in alone]))
    assert found.steps.tolist() == [30] * 5
    assert {shape for shape, _ in seen} == {(slots, 2, 3)} and len(seen) == 30 * -(-5 // slots)


def test_parameters_stay_within_their_bounds():
    found = optimise(torch.zeros(1, 2, 3), *pull(targets(1) * 100), Descent(50, 0.1), slots=1, bounds=(-0.5, 0.25))
    assert found.parameters.min() == -0.5 and found.parameters.max() == 0.25


def test_converged_images_make_room_and_their_steps_are_told():
    target = targets(6)
    target[[0, 3, 4]] = 0  # where they start
    progress = []
    found = optimise(
        torch.zeros(6, 2, 3),
        *pull(target),
        Descent(40, 0.2, tolerance=1e-9),
        slots=2,
        bounds=(-9, 9),
        progress=progress.append,
    )
    assert found.steps[[0, 3, 4]].tolist() == [10] * 3 and (found.steps[[1, 2, 5]] > 10).all()
    assert sum(progress) == 6
    late = optimise(
        torch.zeros(1, 2, 3), *pull(target[[0]]), Descent(40, 0.2, tolerance=1e-9, warm_up=15), slots=2, bounds=(-9, 9)
    )
    assert late.steps.tolist() == [20]
