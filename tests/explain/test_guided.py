"""The walk that guided methods share, and what holds for all of them."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import noised_start, sample_ancestral
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain import blended, classifier_guidance, dvce
from pipeline.explain.guided import Batch, Walk, pull_back, walk_down
from pipeline.noise import Noise
from tests.explain.guiding import (
    FULL,
    Brightness,
    GaussianData,
    Passes,
    brightness_classifier,
    other_classifier,
    tiny_denoiser,
    tiny_guide,
)
from tests.explain.planted import SIDE, conv_classifier, named_noise, random_images

SHORT = {"steps": 12, "skip": 8}
WALKED = 4
TARGETS = torch.tensor([2, 0, 1])

METHODS = {
    "dvce": lambda: dvce.explain,
    "dvce-cone": lambda: partial(dvce.explain, helper=other_classifier()),
    "dvce-views": lambda: partial(dvce.explain, augmentations=3, distance_power=1.5),
    "vaeth-cone": lambda: partial(dvce.explain_as_vaeth, helper=other_classifier(), projection="exact"),
    "classifier-guidance": lambda: partial(classifier_guidance.explain, guide=tiny_guide()),
    "blended": lambda: partial(blended.explain, l2_weight=50.0),
}


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Rounding is that of one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(method, order=(0, 1, 2), batch_size=4, samples=0, **options):
    order = list(order)
    noise = Noise(11, [f"image-{row}" for row in order], "dvce", samples)
    return METHODS[method]()(
        conv_classifier(),
        random_images(3)[order],
        TARGETS[order],
        denoiser=tiny_denoiser(),
        noise=noise,
        batch_size=batch_size,
        **SHORT,
        **options,
    )


# what holds for every method


@pytest.mark.parametrize("method", METHODS)
def test_images_come_back_changed_and_in_their_range(method):
    together = made(method).images
    assert together.shape == (3, 3, SIDE, SIDE) and together.min() >= 0 and together.max() <= 1
    assert (together - random_images(3)).abs().mean() > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_several_counterfactuals_of_an_image_are_several_samples(method):
    images = made(method, [0, 0, 0], samples=[0, 0, 1]).images
    assert torch.allclose(images[0], images[1], atol=1e-5)
    assert (images[0] - images[2]).abs().mean() > 1e-2


COUNTED = {
    "dvce": (dvce.explain, {}, 1, 2, WALKED - 1),
    "dvce with a cone": (dvce.explain, {"helper": True}, 2, 3, WALKED - 1),
    "dvce without distance": (dvce.explain, {"distance_weight": 0.0}, 1, 1, WALKED - 1),
    "dvce in x0-hat": (dvce.explain, {"through_denoiser": False, "helper": True}, 2, 1, WALKED - 1),
    "dvce with views": (dvce.explain, {"augmentations": 3, "helper": True}, 6, 3, WALKED - 1),
    "dvce as sample": (dvce.explain, {"output": "sample"}, 1, 2, WALKED),
    "vaeth": (dvce.explain_as_vaeth, {}, 1, 1, WALKED),
    "vaeth with a cone": (dvce.explain_as_vaeth, {"helper": True}, 2, 2, WALKED),
    "vaeth in x0-hat": (dvce.explain_as_vaeth, {"through_denoiser": False}, 1, 0, WALKED),
    "vaeth in x0-hat with a cone": (dvce.explain_as_vaeth, {"through_denoiser": False, "helper": True}, 2, 0, WALKED),
    "classifier guidance": (classifier_guidance.explain, {"guide": True}, 1, 0, WALKED),
    "classifier guidance by ddim": (classifier_guidance.explain, {"guide": True, "sampler": "ddim"}, 1, 0, WALKED),
    "blended": (blended.explain, {}, 1, 1, WALKED - 1),
}


@pytest.mark.parametrize("case", COUNTED)
def test_passes_through_the_networks_are_as_few_as_can_be_and_as_reported(case):
    explain, options, judged, gradients, guided = COUNTED[case]
    passes, classifier, denoiser = Passes(), conv_classifier(), tiny_denoiser()
    denoiser.network.requires_grad_(True)  # so that a graph could grow where none is needed
    judges = [classifier.network]
    options = dict(options)
    if "helper" in options:
        options["helper"] = other_classifier()
        judges.append(options["helper"].network)
    if "guide" in options:
        options["guide"] = tiny_guide()
        judges = [options["guide"]]
    passes.count("denoiser", denoiser.network)
    for judge in judges:
        passes.count("judges", judge)

    found = explain(
        classifier,
        random_images(2),
        TARGETS[:2],
        denoiser=denoiser,
        noise=named_noise(2, "dvce"),
        batch_size=2,
        **SHORT,
        **options,
    )
    assert passes.forward == {"denoiser": WALKED, "judges": judged * guided}
    assert passes.backward["denoiser"] == gradients * guided and passes.backward["judges"] == judged * guided
    assert passes.with_graph["denoiser"] == (guided if gradients else 0)
    assert found.denoiser_evaluations.tolist() == [WALKED] * 2
    assert found.denoiser_gradients.tolist() == [gradients * guided] * 2
    assert found.classifier_evaluations.tolist() == [judged * guided] * 2


@pytest.mark.parametrize("method", METHODS)
def test_weights_get_no_gradients_even_where_they_could(method):
    asked = []
    denoiser = tiny_denoiser()
    for parameter in denoiser.network.requires_grad_(True).parameters():
        parameter.register_hook(lambda gradient: asked.append(gradient.shape))
    arguments = {"denoiser": denoiser, "noise": named_noise(1, "dvce"), "batch_size": 1, **SHORT}
    METHODS[method]()(conv_classifier(), random_images(1), TARGETS[:1], **arguments)
    assert asked == [] and all(parameter.grad is None for parameter in denoiser.network.parameters())


def test_recomputing_the_denoiser_in_the_backward_pass_changes_nothing():
    results = [
        dvce.explain(
            conv_classifier(),
            random_images(2),
            TARGETS[:2],
            denoiser=tiny_denoiser(recompute),
            noise=named_noise(2, "dvce"),
            helper=other_classifier(),
            **SHORT,
        ).images
        for recompute in ("nothing", "blocks")
    ]
    assert torch.allclose(*results, atol=1e-5)


# the walk


def no_guidance(noised, predicted, step):
    return torch.zeros_like(noised)


def test_a_walk_without_guidance_is_ancestral_sampling_from_the_noised_image():
    denoiser = Denoiser(tiny_denoiser().network, respaced(FULL, 6))
    noise, originals = named_noise(3, "dvce"), 2 * random_images(3) - 1
    walked = walk_down(denoiser, Batch(originals, TARGETS, noise, None), no_guidance, Walk(6, 2, "sample", 0, 0))
    expected = sample_ancestral(denoiser, noised_start(denoiser, originals, noise, 3), noise, first=3, clip=False)
    assert torch.allclose(walked, expected, atol=1e-5)


def test_gradients_go_back_through_one_graph_and_are_those_of_a_graph_each():
    denoiser, noised = tiny_denoiser(), torch.randn(2, 3, SIDE, SIDE).requires_grad_()
    gradients = [torch.randn(2, 3, SIDE, SIDE) for _ in range(3)]
    together = pull_back(gradients, denoiser(noised, 400).clean, noised)
    for gradient, found in zip(gradients, together, strict=True):
        (alone,) = torch.autograd.grad((denoiser(noised, 400).clean * gradient).sum(), noised)
        assert torch.allclose(found, alone, rtol=1e-4, atol=1e-5)
    assert pull_back([], denoiser(noised, 400).clean, noised) == []


def test_the_graph_is_freed_with_the_last_gradient():
    noised = torch.randn(2, 3, SIDE, SIDE).requires_grad_()
    clean = tiny_denoiser()(noised, 400).clean
    pull_back([torch.ones_like(clean)] * 2, clean, noised)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        pull_back([torch.ones_like(clean)], clean, noised)


@pytest.mark.parametrize("output", ["clean", "sample"])
def test_pixels_outside_the_region_stay_and_are_seen_by_the_denoiser_as_the_noised_original(output):
    images, seen = random_images(3), []
    region = torch.ones(3, SIDE, SIDE, dtype=torch.bool)
    for row in range(3):
        region[row, : 4 + 3 * row] = False
    denoiser = tiny_denoiser()
    denoiser.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs))
    arguments = {"denoiser": denoiser, "noise": named_noise(3, "dvce"), "output": output, **SHORT}
    found = dvce.explain(conv_classifier(), images, TARGETS, region=region, batch_size=2, **arguments).images
    outside = ~region[:, None].expand_as(images)
    assert torch.equal(found[outside], images[outside])
    assert (found - images)[~outside].abs().mean() > 1e-2
    for noised, timesteps in seen[:WALKED]:
        kept = float(FULL.signal[int(timesteps[0])])
        noise = ((noised - kept**0.5 * (2 * images[:2] - 1)) / (1 - kept) ** 0.5)[outside[:2]]
        assert noise.std().item() == pytest.approx(1, abs=0.1) and abs(noise.mean().item()) < 0.1


def test_a_wrong_mask_is_refused():
    with pytest.raises(ValueError, match=r"give bool of shape \(3, 16, 16\)"):
        made("dvce", region=torch.ones(3, 1, SIDE, SIDE, dtype=torch.bool))


@pytest.mark.parametrize("skip", [-1, 6])
def test_a_walk_of_no_steps_is_refused(skip):
    with pytest.raises(UserError, match=f"skip is {skip} of 6 steps; use a number from 0 to 5, such as 3"):
        Walk(6, skip, "clean", 1, 1)


# where the answer is known

DARK, BRIGHT = 0, 1
GAUSSIAN = Denoiser(GaussianData(mean=0.0, deviation=0.3), FULL)


class NoisyBrightness(torch.nn.Module):
    """Judges the brightness of noised images in [-1, 1]."""

    shape = SimpleNamespace(out_channels=2)

    def forward(self, noised, timesteps):
        return Brightness()((noised + 1) / 2)


GUIDED = {
    "dvce": partial(dvce.explain, classifier_weight=0.4),
    "dvce in x0-hat": partial(dvce.explain, classifier_weight=0.4, through_denoiser=False),
    "vaeth": partial(dvce.explain_as_vaeth, classifier_weight=2.0),
    "classifier guidance": partial(classifier_guidance.explain, guide=NoisyBrightness(), scale=10.0),
    "classifier guidance by ddim": partial(
        classifier_guidance.explain, guide=NoisyBrightness(), scale=10.0, sampler="ddim"
    ),
    "blended": partial(blended.explain, l2_weight=10.0),
}


@pytest.mark.parametrize("method", GUIDED)
def test_guidance_moves_images_of_a_known_gaussian_to_the_side_of_their_target(method):
    rows = 12
    noise = named_noise(rows, "dvce")
    images = 0.5 + 0.15 * torch.randn(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    targets = torch.tensor([DARK, BRIGHT] * (rows // 2))
    denoiser = Denoiser(GAUSSIAN.network, respaced(FULL, 20))
    plain = Walk(20, 5, "clean", 0, 0)
    unguided = (walk_down(denoiser, Batch(2 * images - 1, targets, noise, None), no_guidance, plain) + 1) / 2
    found = GUIDED[method](
        brightness_classifier(), images, targets, denoiser=GAUSSIAN, noise=noise, batch_size=rows, steps=20, skip=5
    ).images
    accuracy = [(brightness_classifier()(each).argmax(1) == targets).float().mean() for each in (unguided, found)]
    assert accuracy[0] < 0.8 and accuracy[1] == 1
    moved = (found - unguided).mean(dim=(1, 2, 3)) * (2 * targets - 1)
    assert (moved > 0).all()
