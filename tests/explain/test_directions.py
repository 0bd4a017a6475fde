"""Directions found from a black box, against those that it was built with."""

from functools import partial

import pytest
import torch

from pipeline.errors import UserError
from pipeline.explain.directions import (
    cosines,
    curvature_directions,
    gradient_direction,
    proxy_directions,
    score_hessian,
    unit_along,
)
from pipeline.explain.probes import Probes, look_around, probe_noise, uniform_offsets
from pipeline.explain.proxy import Proxy, fit_proxy
from tests.explain.latent import LENGTH, codes_of, cosine, far_from, orthonormal, paint, reader, source

TRUE = torch.nn.functional.normalize(torch.randn(LENGTH, generator=torch.Generator().manual_seed(8)), dim=0)


def probed(score, count: int, radius: float = 1.0) -> Probes:
    offsets = uniform_offsets(probe_noise(5, "portrait", range(count)), LENGTH, radius)
    return look_around(paint, reader(score), source(), far_from(paint(source())[0]), offsets)


def test_probes_are_uniform_in_direction_and_radius():
    offsets = uniform_offsets(probe_noise(0, "a", range(4000)), LENGTH, 2.0)
    norms = offsets.norm(dim=1)
    assert norms.min() > 0 and norms.max() < 2
    quartiles = torch.quantile(norms, torch.tensor([0.25, 0.5, 0.75]))
    assert torch.allclose(quartiles, torch.tensor([0.5, 1.0, 1.5]), atol=0.06)
    directions = offsets / norms[:, None]
    assert directions.mean(0).abs().max() < 0.03
    assert torch.allclose(directions.T @ directions / 4000, torch.eye(LENGTH) / LENGTH, atol=0.01)


def test_a_probe_depends_on_its_number_and_source_alone():
    together = uniform_offsets(probe_noise(7, "a", range(10)), LENGTH)
    assert torch.equal(uniform_offsets(probe_noise(7, "a", [9, 4]), LENGTH), together[[9, 4]])
    assert not torch.equal(uniform_offsets(probe_noise(7, "b", [9, 4]), LENGTH), together[[9, 4]])


def test_each_probe_is_one_decode_and_one_query_of_the_moved_code():
    decoded, queried = [], []

    def decode(codes):
        decoded.append(len(codes.semantic))
        return paint(codes)

    def query(images):
        queried.append(len(images))
        return codes_of(images)[:, :2]

    start = source(noise=1.0)
    offsets = uniform_offsets(probe_noise(0, "a", range(10)), LENGTH)
    far = far_from(paint(start)[0])
    probes = look_around(decode, query, start, far, offsets, batch_size=5)
    assert sum(decoded) == sum(queried) == len(probes) == 10
    with_noise = codes_of(paint(start)) - start.semantic  # what the source's own noise adds to what is read
    torch.testing.assert_close(probes.logits, (start.semantic + offsets + with_noise)[:, :2], atol=1e-5, rtol=1e-4)
    assert far(paint(start))[0] == 0 and probes.distance.min() > 0


def test_gradient_and_hessian_of_a_quadratic_are_its_analytic_ones():
    axes, curvatures = orthonormal(LENGTH, LENGTH, seed=2), torch.linspace(-3, 4, LENGTH)
    matrix = axes @ torch.diag(curvatures) @ axes.T

    def score(offsets):
        return offsets @ TRUE + 0.5 * (offsets @ matrix * offsets).sum(1)

    assert cosine(gradient_direction(score, LENGTH).vector, TRUE) > 1 - 1e-6
    hessian = score_hessian(score, LENGTH)
    torch.testing.assert_close(hessian, matrix, atol=1e-5, rtol=1e-5)
    found = curvature_directions(hessian, 3)
    assert [(each.rank, each.sign) for each in found] == [(0, 1), (0, -1), (1, 1), (1, -1), (2, 1), (2, -1)]
    largest = curvatures.abs().argsort(descending=True)[:3]
    for each in found:
        assert each.eigenvalue == pytest.approx(float(curvatures[largest[each.rank]]), abs=1e-4)
        assert abs(cosine(each.vector, axes[:, largest[each.rank]])) > 1 - 1e-5
    assert all(torch.equal(up.vector, -down.vector) for up, down in zip(found[::2], found[1::2], strict=True))
    assert torch.allclose(cosines(found[::2]), torch.eye(3, dtype=torch.float64), atol=1e-6)


def test_the_proxy_finds_the_direction_that_a_linear_classifier_reads():
    fitted = fit_proxy([probed(lambda codes: 6 * codes @ TRUE, 512)], seed=0, hidden=(32,), epochs=200)
    assert fitted.held_out[-1] < 0.5 * fitted.held_out[0]
    towards_one, towards_zero = (proxy_directions(fitted.proxy, LENGTH, target, 0)[0] for target in (1, 0))
    assert cosine(towards_one.vector, TRUE) > 0.9
    assert cosine(towards_zero.vector, -TRUE) > 0.9
    assert torch.linalg.vector_norm(towards_one.vector) == pytest.approx(1, abs=1e-5)


def test_the_second_published_direction_keeps_closer_to_the_source():
    """With evidence along one axis and distance along another, weighing distance turns away from the latter."""

    class Known(torch.nn.Module):
        def forward(self, offsets):
            evidence = offsets[:, 0] + offsets[:, 1]
            return torch.stack([-evidence / 2, evidence / 2], 1), 0.1 * offsets[:, 1]

    plain, close = proxy_directions(Known(), LENGTH, 1, 0)
    assert plain.vector[:2].tolist() == pytest.approx([0.5**0.5] * 2)
    assert close.vector[0] > 0 > close.vector[1]  # 0.05 each of evidence, and 0.1 of distance against the second


def test_the_proxy_has_the_published_layers():
    sizes = [tuple(each.shape) for each in Proxy(512, 40).parameters() if each.dim() == 2]
    assert sizes == [(256, 512), (128, 256), (64, 128), (41, 64)]
    logits, distance = Proxy(512, 40)(torch.randn(3, 512))
    assert logits.shape == (3, 40) and distance.shape == (3,) and distance.min() > 0 and distance.max() < 1


def test_a_fit_stops_when_the_held_out_loss_rises_above_its_last_five():
    """Evidence without rhyme or reason can only be learned by heart."""
    probes, generator = probed(lambda codes: codes @ TRUE, 256), torch.Generator().manual_seed(0)
    senseless = Probes(probes.offsets * 20, torch.randn(256, 2, generator=generator), probes.distance)
    fitted = fit_proxy([senseless], seed=1, hidden=(32,), batch_size=64)
    losses = fitted.held_out
    assert 1 < len(losses) < 1024
    means = [sum(losses[max(0, at - 5) : at]) / len(losses[max(0, at - 5) : at]) for at in range(1, len(losses))]
    rises = [loss > mean for loss, mean in zip(losses[1:], means, strict=True)]
    assert rises == [False] * (len(losses) - 2) + [True]


def test_a_fit_is_the_same_each_time_and_leaves_the_random_state_alone():
    fit = partial(fit_proxy, [probed(lambda codes: codes @ TRUE, 256)], hidden=(8,), epochs=5)
    before = torch.random.get_rng_state()
    first, second, other = fit(seed=3), fit(seed=3), fit(seed=4)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first.held_out == second.held_out != other.held_out


def test_strength_one_is_a_standard_deviation_of_the_codes_along_the_direction():
    codes = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 0.5])
    assert unit_along(codes, torch.tensor([1.0, 0.0])) == pytest.approx(3, rel=0.1)
    assert unit_along(codes, torch.tensor([0.0, 1.0])) == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: uniform_offsets(probe_noise(0, "a", [0]), 4, 0.0), "radius is 0.0; use a number above 0"),
        (lambda: gradient_direction(lambda offsets: 0 * offsets.sum(1), 4), "there is no direction"),
        (lambda: curvature_directions(torch.eye(4), 5), "5 h-directions of a code of 4 numbers; use 1 to 4"),
        (lambda: unit_along(torch.ones(5, 4), torch.eye(4)[0]), "5 codes do not differ along the direction"),
        (lambda: fit_proxy([probed(lambda codes: codes @ TRUE, 200)], seed=0), "200 probes do not fill two batches"),
    ],
)
def test_what_cannot_be_is_one_sentence(call, sentence):
    with pytest.raises(UserError, match=sentence):
        call()
