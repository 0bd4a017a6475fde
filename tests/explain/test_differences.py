"""Directions from few probes, against the slopes and curvatures that a black box was built with."""

from functools import partial

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.differences import (
    Basis,
    Search,
    agreement,
    basis_of,
    curvature_of,
    opposite_steps,
    ridge,
    search,
    slope_of,
)
from pipeline.explain.directions import proxy_directions
from pipeline.explain.probes import look_around, probe_noise, uniform_offsets
from pipeline.explain.proxy import fit_proxy
from pipeline.noise import Noise
from tests.explain.latent import LENGTH, cosine, far_from, orthonormal, paint, reader, source

DEVIATIONS = torch.tensor([3.0, 2.0, 1.5, 1.0, 0.5, 0.2, *[0.01] * (LENGTH - 6)])
AXES = orthonormal(LENGTH, LENGTH, seed=4)
TRUE = torch.nn.functional.normalize(torch.randn(LENGTH, generator=torch.Generator().manual_seed(8)), dim=0)


def calibration_codes(count: int = 400) -> torch.Tensor:
    return torch.randn(count, LENGTH, generator=torch.Generator().manual_seed(6)) * DEVIATIONS @ AXES.T


def sets_of_steps(number: int) -> Noise:
    return Noise(1, ["portrait"], "steps", number)


def looking(score, asked: list[int] | None = None):
    def look(offsets, numbers):
        if asked is not None:
            asked.extend(numbers)
        return look_around(paint, reader(score), source(), far_from(paint(source())[0]), offsets)

    return look


def linear(codes):
    return 2 * codes @ TRUE


def test_the_basis_holds_the_axes_along_which_codes_vary():
    basis = basis_of(calibration_codes(), rank=5)
    assert torch.allclose(basis.deviations, DEVIATIONS[:5], rtol=0.1)
    assert all(abs(cosine(basis.axes[:, axis], AXES[:, axis])) > 0.98 for axis in range(5))
    assert torch.allclose(basis.axes.T @ basis.axes, torch.eye(5), atol=1e-5)
    assert len(basis_of(calibration_codes(), share=0.9)) == 3  # 9 + 4 + 2.25 of 16.54
    assert len(basis_of(calibration_codes(4))) <= 3
    steps = torch.eye(5)[:2]
    torch.testing.assert_close(basis.offsets(steps), (basis.axes * basis.deviations).T[:2])


def test_steps_come_in_sets_at_right_angles_and_follow_from_their_number():
    steps = opposite_steps(sets_of_steps, 6, range(15), 1.5)
    assert torch.allclose(steps.norm(dim=1), torch.full((15,), 1.5), atol=1e-5)
    for first in (0, 6):
        assert torch.allclose(steps[first : first + 6] @ steps[first : first + 6].T, 2.25 * torch.eye(6), atol=1e-5)
    assert torch.allclose(opposite_steps(sets_of_steps, 6, range(8, 11), 1.5), steps[8:11], atol=1e-5)


def test_ridge_has_the_weights_and_the_left_out_errors_of_fits_one_by_one():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(14, 6, generator=generator, dtype=torch.float64)
    values = rows @ torch.arange(6.0).double() + torch.randn(14, generator=generator, dtype=torch.float64)
    found = ridge(rows @ rows.T, values)
    weight = found.penalty * (rows @ rows.T).diagonal().mean() * torch.eye(6).double()

    def fitted(kept):
        return torch.linalg.solve(rows[kept].T @ rows[kept] + weight, rows[kept].T @ values[kept])

    everyone = torch.arange(14)
    torch.testing.assert_close(found.weights @ rows, fitted(everyone))
    errors = [values[row] - rows[row] @ fitted(everyone[everyone != row]) for row in range(14)]
    assert found.left_out_error == pytest.approx(float(torch.stack(errors).square().mean()))


def test_ridge_shrinks_what_is_noise_and_leaves_what_is_not():
    generator = torch.Generator().manual_seed(2)
    rows = torch.randn(40, 30, generator=generator, dtype=torch.float64)
    noise = torch.randn(40, generator=generator, dtype=torch.float64)
    assert ridge(rows @ rows.T, rows[:, 0]).penalty < 1e-4 < 0.1 < ridge(rows @ rows.T, noise).penalty


def test_slope_and_curvature_of_a_quadratic_are_its_analytic_ones():
    generator = torch.Generator().manual_seed(3)
    slope, root = torch.randn(5, generator=generator), torch.randn(5, 5, generator=generator)
    hessian = root + root.T
    steps = opposite_steps(sets_of_steps, 5, range(40), 1.0)
    odd, even = steps @ slope, 0.5 * (steps @ hessian * steps).sum(1)
    torch.testing.assert_close(slope_of(steps, odd).float(), slope, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(curvature_of(steps, even).float(), hessian, atol=1e-2, rtol=1e-2)


def test_the_direction_that_a_linear_classifier_reads_is_found_in_as_many_pairs_as_there_are_axes():
    basis = basis_of(calibration_codes(), rank=6)
    found = search(looking(linear), basis, 1, sets_of_steps, Search(pairs=6, block=6, agreement=1.0))
    steepest = basis.direction(basis.deviations * (basis.axes.T @ TRUE))  # per standard deviation, within the axes
    assert found.decodes == 13
    assert cosine(found.directions(0)[0].vector, steepest) > 1 - 1e-4
    away = search(looking(linear), basis, 0, sets_of_steps, Search(pairs=6, block=6, agreement=1.0))
    assert cosine(away.directions(0)[0].vector, -steepest) > 1 - 1e-4
    torch.testing.assert_close(
        found.slope.float(), 2 * basis.deviations * (basis.axes.T @ TRUE), atol=1e-2, rtol=1e-2
    )  # by how much the log-odds rise per standard deviation


def test_h_directions_are_the_axes_of_a_quadratic_classifier():
    basis = Basis(torch.eye(LENGTH)[:, :6], torch.ones(6))
    axes, curvatures = orthonormal(6, 6, seed=9), torch.tensor([4.0, -3.0, 0.5, 0.2, 0.1, 0.0])
    hessian = axes @ torch.diag(curvatures) @ axes.T

    def quadratic(codes):
        moved = (codes - source().semantic)[:, :6]
        return 0.3 * moved[:, 0] + 0.5 * (moved @ hessian * moved).sum(1)

    found = search(looking(quadratic), basis, 1, sets_of_steps, Search(pairs=48, block=8, agreement=1.0))
    first, other_way, second = found.directions(2)[1:4]
    assert first.eigenvalue == pytest.approx(4, rel=0.05) and second.eigenvalue == pytest.approx(-3, rel=0.05)
    assert abs(cosine(first.vector[:6], axes[:, 0])) > 0.99 and abs(cosine(second.vector[:6], axes[:, 1])) > 0.99
    assert torch.equal(first.vector, -other_way.vector) and (first.sign, other_way.sign) == (1, -1)


def test_a_search_stops_once_halves_agree_and_not_before():
    basis, asked = basis_of(calibration_codes(), rank=6), []
    found = search(looking(linear, asked), basis, 1, sets_of_steps, Search(pairs=200, block=4, agreement=0.99))
    assert found.agreement[-1] >= 0.99 and max(found.agreement[:-1], default=0.0) < 0.99
    assert asked == list(range(found.decodes)) and found.decodes == 1 + 8 * len(found.agreement) < 60


def test_a_black_box_that_answers_at_random_is_asked_to_the_end():
    generator = torch.Generator().manual_seed(0)
    basis = basis_of(calibration_codes(), rank=6)
    noisy = looking(lambda codes: torch.randn(len(codes), generator=generator))
    found = search(noisy, basis, 1, sets_of_steps, Search(pairs=32, block=8, agreement=0.99))
    assert found.decodes == 65 and max(found.agreement) < 0.99


def test_the_agreement_foretells_the_cosine_to_the_truth():
    """Over many noisy problems, the mean of what is expected lies near the mean of what is, and not above it."""
    expected, true = [], []
    for seed in range(60):
        generator = torch.Generator().manual_seed(seed)
        slope, steps = torch.randn(10, generator=generator), torch.randn(60, 10, generator=generator)
        odd = steps @ slope + 2.5 * torch.randn(60, generator=generator)
        expected.append(agreement(steps, odd))
        true.append(cosine(slope_of(steps, odd).float(), slope))
    assert 0.9 < sum(true) / 60 < 0.97
    assert sum(true) / 60 - 0.04 < sum(expected) / 60 < sum(true) / 60 + 0.01


def test_pairs_find_the_direction_from_fewer_decodes_than_the_proxy_does():
    """Of one curved black box: 33 decodes against 512, both against the slope at the source."""

    def curved(codes):
        return 4 * torch.tanh(codes @ TRUE) + (codes @ AXES[:, 1]).square()

    offset = torch.zeros(1, LENGTH, requires_grad=True)
    slope = torch.autograd.grad(curved(source().semantic + offset).sum(), offset)[0][0]
    basis = Basis(torch.eye(LENGTH), torch.full((LENGTH,), 0.5))
    few = search(looking(curved), basis, 1, sets_of_steps, Search(pairs=16, block=16, agreement=1.0, radius=0.5))
    offsets = uniform_offsets(probe_noise(0, "portrait", range(512)), LENGTH)
    many = fit_proxy([looking(curved)(offsets, range(512))], seed=0, epochs=128)
    by_pairs, by_proxy = few.directions(0)[0], proxy_directions(many.proxy, LENGTH, 1, 0)[0]
    assert few.decodes == 33
    assert cosine(by_pairs.vector, slope) > max(0.97, cosine(by_proxy.vector, slope))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: basis_of(torch.randn(2, 4)), "2 codes tell no axes along which codes vary; use 3 images or more"),
        (lambda: basis_of(torch.ones(5, 4)), "all codes are the same"),
        (lambda: basis_of(torch.randn(5, 4), rank=0), "rank is 0; use 1 or more"),
        (partial(Search, block=5), "block is 5 pairs; use an even number from 4, such as 16"),
        (partial(Search, pairs=8), "pairs is 8; use 16 or more"),
        (partial(Search, agreement=1.5), "agreement is 1.5; use a number above 0 and up to 1"),
        (lambda: opposite_steps(sets_of_steps, 4, range(2), 0), "radius is 0; use a number of standard deviations"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
