"""DVCE and its variant, against their equations written down step by step."""

import math

import numpy
import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.diffusion.samplers import START
from pipeline.errors import UserError
from pipeline.explain.dvce import PURPOSE, Options, distance_gradient, explain, explain_as_vaeth
from pipeline.explain.views import draw_views, seen
from tests.explain.guiding import FULL, other_classifier, tiny_denoiser
from tests.explain.planted import conv_classifier, named_noise, patch_classifier, random_images

ROWS, STEPS, SKIP = 2, 12, 9
TARGETS = torch.tensor([2, 0])
CLASSIFIER_WEIGHT, DISTANCE_WEIGHT = 1.0, 0.7  # ten and five times the published, so that a wrong term shows
ARGUMENTS = {
    "steps": STEPS,
    "skip": SKIP,
    "batch_size": ROWS,
    "classifier_weight": CLASSIFIER_WEIGHT,
    "distance_weight": DISTANCE_WEIGHT,
}


def made(method=explain, classifier=None, **options):
    return method(
        classifier or conv_classifier(),
        random_images(ROWS),
        TARGETS,
        denoiser=tiny_denoiser(),
        noise=named_noise(ROWS, PURPOSE),
        **(ARGUMENTS | options),
    ).images


# the equations, written without any of the code above


def to_length_one(gradient):
    return gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def cone_ray(target, robust, degrees):
    """For each image the robust gradient's side of the cone's boundary, or the target's direction within the cone."""
    rows = []
    for one, other in zip(target, robust, strict=True):
        axis = one / one.norm()
        across = other - (other * axis).sum() * axis
        cosine = (other * axis).sum() / other.norm()
        inside = math.degrees(math.acos(cosine)) <= degrees
        rows.append(axis if inside else axis + math.tan(math.radians(degrees)) * across / across.norm())
    return torch.stack(rows)


def literal(*, scale, through, distance_through, power, output, cone, projection=cone_ray, temperature=1.0):
    """Three steps of the walk from the equations, with a graph of its own for every gradient."""
    network, classifier, helper = tiny_denoiser().network, conv_classifier(), other_classifier()
    abar_of_all = numpy.cumprod(1 - numpy.linspace(1e-4, 0.02, 1000))
    told = [round(index * 999 / (STEPS - 1)) for index in range(STEPS)]
    abar = abar_of_all[told]
    before = numpy.concatenate([[1.0], abar[:-1]])
    beta = 1 - abar / before
    smallest = beta * (1 - before) / (1 - abar)
    smallest[0] = smallest[1]
    noise, originals = named_noise(ROWS, PURPOSE), 2 * random_images(ROWS) - 1
    shape = originals.shape[1:]

    def denoised(x, t):
        eps, v = network(x, torch.full((ROWS,), float(told[t]))).chunk(2, dim=1)
        return x / abar[t] ** 0.5 - (1 / abar[t] - 1) ** 0.5 * eps, eps, v

    def gradient(value, x, t, wanted_in_x_t):
        """Of a function of x0-hat: in x_t, or in x0-hat."""
        if wanted_in_x_t:
            x = x.clone().requires_grad_()
            return torch.autograd.grad(value(denoised(x, t)[0]), x)[0]
        clean = denoised(x, t)[0].clone().requires_grad_()
        return torch.autograd.grad(value(clean), clean)[0]

    def log_probability(judge, clean, divided=1.0):
        return (judge((clean + 1) / 2) / divided).log_softmax(1)[range(ROWS), TARGETS].mean()

    first = STEPS - SKIP - 1
    x = abar[first] ** 0.5 * originals + (1 - abar[first]) ** 0.5 * noise.normal(START, shape)
    for t in range(first, -1, -1):
        clean, eps, v = denoised(x, t)
        mean = (
            beta[t] * before[t] ** 0.5 / (1 - abar[t]) * clean
            + (1 - before[t]) * (1 - beta[t]) ** 0.5 / (1 - abar[t]) * x
        )
        share = (v + 1) / 2
        variance = (share * math.log(beta[t]) + (1 - share) * math.log(smallest[t])).exp()
        evidence = gradient(lambda clean: log_probability(classifier, clean, temperature), x, t, through)
        if cone:
            robust = gradient(lambda clean: log_probability(helper, clean), x, t, through)
            evidence = projection(evidence, robust, 30)
        distance = gradient(lambda clean: (clean - originals).abs().pow(power).mean(), x, t, distance_through)
        length = {"eps": eps, "mu": mean}[scale].flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        pushed = CLASSIFIER_WEIGHT * to_length_one(evidence) - DISTANCE_WEIGHT * to_length_one(distance)
        x = mean + variance * length * pushed
        if t > 0:
            x = x + variance.sqrt() * noise.normal(t, shape)
    return ((clean if output == "clean" else x).detach() / 2 + 0.5).clamp(0, 1)


DVCE = {"scale": "eps", "through": True, "distance_through": True, "power": 1.0, "output": "clean"}
VAETH = {"scale": "mu", "through": True, "distance_through": False, "power": 1.0, "output": "sample"}


@pytest.mark.parametrize(("cone", "power"), [(False, 1.0), (True, 1.0), (True, 1.5), (False, 2.0)])
def test_dvce_follows_its_equations(cone, power):
    expected = literal(**DVCE | {"cone": cone, "power": power})
    found = made(helper=other_classifier() if cone else None, distance_power=power)
    assert torch.allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("through", [False, True])
@pytest.mark.parametrize("cone", [False, True])
def test_the_variant_of_vaeth_follows_its_equations(cone, through):
    expected = literal(**VAETH | {"cone": cone, "through": through})
    found = made(explain_as_vaeth, helper=other_classifier() if cone else None, through_denoiser=through)
    assert torch.allclose(found, expected, atol=2e-6)


def test_the_equations_tell_the_variants_apart():
    found = [
        made(),
        made(output="sample"),
        made(output="sample", guidance_norm="mu"),
        made(explain_as_vaeth),
        made(through_denoiser=False),
        made(distance_power=1.5),
        made(temperature=3.0),
        made(helper=other_classifier()),
        made(helper=other_classifier(), angle=60.0),
        made(augmentations=2),
    ]
    for index, one in enumerate(found):
        assert all((one - other).abs().max() > 2e-5 for other in found[:index])


def test_temperature_divides_the_logits_of_the_classifier_and_not_of_its_helper():
    expected = literal(**DVCE | {"cone": True}, temperature=2.5)
    assert torch.allclose(made(helper=other_classifier(), temperature=2.5), expected, atol=2e-6)


def test_a_classifier_that_is_its_own_helper_needs_no_cone():
    for projection in ("published", "exact"):
        assert torch.allclose(made(helper=conv_classifier(), projection=projection), made(), atol=2e-6)


def test_evidence_is_averaged_over_views():
    """Of three views of the image; one step, so that the views of that step are all there are."""
    options = {"steps": 12, "skip": 11, "distance_weight": 0.0, "output": "sample", "through_denoiser": False}
    found, unguided = made(augmentations=3, **options), made(classifier_weight=0.0, **options)
    denoiser, noise = tiny_denoiser(), named_noise(ROWS, PURPOSE)
    originals = 2 * random_images(ROWS) - 1
    noised = FULL.noised(originals, noise.normal(START, originals.shape[1:]), 0)
    with torch.no_grad():
        clean = denoiser(noised, 0).clean
    leaf = clean.clone().requires_grad_()
    views = draw_views(noise, 0, 3, leaf)
    logits = [conv_classifier()((seen(leaf, view) + 1) / 2) for view in views]
    sum(each.log_softmax(1)[range(ROWS), TARGETS].sum() for each in logits).backward()
    inside = (found > 0) & (found < 1) & (unguided > 0) & (unguided < 1)
    moved = (found - unguided)[inside].flatten()
    assert torch.corrcoef(torch.stack([moved, leaf.grad[inside].flatten()]))[0, 1] > 0.8


def test_the_gradient_of_the_distance_is_that_of_any_power():
    clean, originals = torch.randn(2, 3, 4, 4).requires_grad_(), torch.randn(2, 3, 4, 4)
    for power in (1.0, 1.3, 1.5, 2.0):
        (expected,) = torch.autograd.grad(((clean - originals).abs() ** power).sum() / power, clean)
        assert torch.allclose(distance_gradient(clean.detach(), originals, power), expected, atol=1e-6)
    assert torch.equal(distance_gradient(originals, originals, 1.0), torch.zeros_like(originals))


class Saturated(torch.nn.Module):
    def forward(self, images):
        return torch.stack([images.mean(dim=(1, 2, 3)) * 0, images.mean(dim=(1, 2, 3)) * 0 + 500.0], dim=1)


def test_a_classifier_that_says_nothing_leaves_images_finite():
    classifier = Classifier(Saturated(), name="sure", heads={"kind": ["a", "b"]})
    for helper in (None, classifier):
        found = explain(
            classifier,
            random_images(ROWS),
            torch.tensor([0, 1]),
            denoiser=tiny_denoiser(),
            noise=named_noise(ROWS, PURPOSE),
            helper=helper,
            **ARGUMENTS,
        )
        assert found.images.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"distance_power": 2.5}, "distance_power is 2.5; use a number from 1 to 2, such as 1.5"),
        ({"guidance_norm": "epsilon"}, "guidance_norm is 'epsilon'; use eps"),
        ({"projection": "exactly"}, "projection is 'exactly'; use exact"),
        ({"temperature": 0}, "temperature is 0; use a number above 0"),
        ({"augmentations": 0}, "augmentations is 0; use 1"),
        ({"classifier_weight": -1}, "classifier_weight is -1"),
        ({"angle": 120}, "the angle of the cone is 120; use 0 to 90 degrees"),
    ],
)
def test_options_out_of_range_are_refused(wrong, message):
    with pytest.raises(UserError, match=message):
        Options(**wrong)


def test_wrong_walks_and_helpers_are_refused():
    with pytest.raises(UserError, match="output is 'samples'; use sample"):
        made(output="samples")
    with pytest.raises(UserError, match="skip is 12 of 12 steps; use a number from 0 to 11"):
        made(skip=12)
    with pytest.raises(UserError, match="2000 steps of a schedule of 1000; use 1 to 1000"):
        made(steps=2000)
    with pytest.raises(UserError, match="the helper 'patch' has the classes black, white and classifier 'conv' has a"):
        made(helper=patch_classifier())
    black_box = conv_classifier()
    black_box.differentiable = False
    with pytest.raises(UserError, match="needs gradients and classifier 'conv' gives none"):
        made(classifier=black_box)
