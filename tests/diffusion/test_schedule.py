"""Schedules against the values of the published code."""

import math

import numpy as np
import pytest
import torch

from pipeline.diffusion.schedule import Schedule, cosine_betas, full_schedule, respaced, respaced_by_stride
from pipeline.errors import UserError

LINEAR = full_schedule("linear", 1000)


def test_two_hundred_of_a_thousand_steps_are_those_of_guided_diffusion():
    schedule = respaced(LINEAR, 200)
    timesteps = schedule.timesteps.tolist()
    assert timesteps[:4] == [0, 5, 10, 15] and timesteps[99:101] == [497, 502] and timesteps[-2:] == [994, 999]
    assert schedule.signal[[0, 99, 199]] == pytest.approx([0.9999, 0.080187755, 4.0358298e-5], rel=1e-7)
    assert schedule.log_variance_range[0][0] == pytest.approx(-9.328237, abs=1e-6)


@pytest.mark.parametrize(
    ("full", "steps", "step", "timestep", "signal"),
    [
        (1000, 100, 74, 747, 0.00345345),
        (1000, 25, 4, 166, 0.74591451),
        (500, 200, 60, 150, 0.39168),
        (500, 200, 59, 148, 0.40136),
        (500, 50, 4, 41, 0.92574),
        (1000, 21, 10, 499, 0.0785872),  # 10 * 49.95 is 499.5, which rounds to 500; added up it is a bit less
        (1000, 31, 15, 500, 0.0777967),  # 15 * 33.3 is a bit less than 499.5; added up it is a bit more
    ],
)
def test_single_steps_of_other_respacings(full, steps, step, timestep, signal):
    schedule = respaced(full_schedule("linear", full), steps)
    assert schedule.timesteps[step] == timestep
    assert schedule.signal[step] == pytest.approx(signal, rel=2e-5)


def test_respacing_keeps_the_signal_of_every_step_that_stays():
    schedule = respaced(LINEAR, 37)
    assert schedule.signal == pytest.approx(LINEAR.signal[schedule.timesteps], rel=1e-12)
    assert respaced(LINEAR, 1000).betas == pytest.approx(LINEAR.betas, rel=1e-9)


def test_the_cosine_schedule_follows_its_formula_and_ends_below_the_largest_beta():
    betas = cosine_betas(1000)
    level = np.cos((np.array([0, 500]) / 1000 + 0.008) / 1.008 * np.pi / 2) ** 2
    assert np.prod(1 - betas[:500]) == pytest.approx(level[1] / level[0], rel=1e-9)
    assert betas.max() == 0.999 and (np.diff(betas) >= 0).all()


def test_a_stride_must_be_whole():
    assert respaced_by_stride(LINEAR, 20).timesteps.tolist() == list(range(0, 1000, 50))
    with pytest.raises(UserError, match="600 steps do not divide a schedule of 1000 by a whole stride; use 500"):
        respaced_by_stride(LINEAR, 600)


def test_noised_clean_and_noise_are_one_equation():
    images, noise = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    for step in (0, 400, 999):
        noised = LINEAR.noised(images, noise, step)
        assert torch.allclose(LINEAR.clean(noised, noise, step), images, atol=1e-9)
        assert torch.allclose(LINEAR.noise(noised, images, step), noise, atol=1e-9)


def test_the_posterior_is_that_of_two_gaussians_multiplied():
    step = 300
    before, kept, beta = LINEAR.signal_before[step], LINEAR.signal[step], LINEAR.betas[step]
    # x_{t-1} | x0 ~ N(sqrt(before) x0, 1 - before) and x_t | x_{t-1} ~ N(sqrt(1 - beta) x_{t-1}, beta), by Bayes.
    precision = 1 / (1 - before) + (1 - beta) / beta
    x0, xt = torch.tensor(0.7, dtype=torch.float64), torch.tensor(-1.3, dtype=torch.float64)
    mean = (before**0.5 * x0 / (1 - before) + (1 - beta) ** 0.5 * xt / beta) / precision
    assert LINEAR.posterior_mean(x0, xt, step).item() == pytest.approx(mean.item(), rel=1e-9)
    assert np.exp(LINEAR.log_variance_range[0][step]) == pytest.approx(1 / precision, rel=1e-9)
    assert kept == pytest.approx(before * (1 - beta))


def test_a_learned_variance_lies_between_posterior_and_beta():
    smallest, largest = (bound[500] for bound in LINEAR.log_variance_range)
    fractions = torch.tensor([-1.0, 0.0, 1.0])
    assert LINEAR.log_variance(fractions, 500).tolist() == pytest.approx([smallest, (smallest + largest) / 2, largest])
    assert LINEAR.log_variance(None, 500) == pytest.approx(smallest)


def test_a_variance_that_was_not_learned_is_the_posterior_s_or_beta():
    schedule = Schedule(np.array([0.1, 0.2]), np.arange(2))
    posterior = 0.2 * (1 - 0.9) / (1 - 0.9 * 0.8)  # of step 1, which stands in for that of step 0
    small, large = (
        [math.exp(schedule.log_variance(None, step, fixed)) for step in (0, 1)] for fixed in ("small", "large")
    )
    assert small == pytest.approx([posterior, posterior]) and large == pytest.approx([posterior, 0.2])


@pytest.mark.parametrize("steps", [0, 1001])
def test_a_number_of_steps_out_of_range_is_named(steps):
    with pytest.raises(UserError, match="use 1 to 1000, such as 50"):
        respaced(LINEAR, steps)


def test_an_unknown_schedule_is_named_with_the_nearest():
    with pytest.raises(UserError, match="there is no schedule 'linaer'; use linear"):
        full_schedule("linaer")
