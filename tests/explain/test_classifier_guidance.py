"""Classifier guidance, against its equations."""

import pytest
import torch

from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import noised_start, sample_ddim
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.classifier_guidance import PURPOSE, explain
from tests.explain.guiding import FULL, tiny_denoiser, tiny_guide
from tests.explain.planted import conv_classifier, named_noise, random_images

ROWS, STEPS, SKIP = 2, 12, 9
FIRST = STEPS - SKIP - 1
TARGETS = torch.tensor([2, 0])
SCALE = 300.0  # the gradients of so small a guide are small
SHORT = respaced(FULL, STEPS)


def made(**options):
    arguments = {"denoiser": tiny_denoiser(), "guide": tiny_guide(), "noise": named_noise(ROWS, PURPOSE)}
    return explain(
        conv_classifier(), random_images(ROWS), TARGETS, **(arguments | {"steps": STEPS, "skip": SKIP} | options)
    ).images


def start():
    return noised_start(
        Denoiser(tiny_denoiser().network, SHORT), 2 * random_images(ROWS) - 1, named_noise(ROWS, PURPOSE), FIRST
    )


def gradient(x, t):
    x = x.clone().requires_grad_()
    logits = tiny_guide()(x, torch.full((ROWS,), float(SHORT.timesteps[t])))
    return torch.autograd.grad(logits.log_softmax(1)[range(ROWS), TARGETS].sum(), x)[0]


def shown(x):
    return (x / 2 + 0.5).clamp(0, 1)


@pytest.mark.parametrize("clip", [False, True])
def test_the_ancestral_mean_is_moved_by_variance_times_gradient(clip):
    denoiser, noise, x = Denoiser(tiny_denoiser().network, SHORT), named_noise(ROWS, PURPOSE), start()
    for t in range(FIRST, -1, -1):
        with torch.no_grad():
            predicted = denoiser(x, t, clip=clip)
        x = predicted.mean + predicted.variance * SCALE * gradient(x, t)
        if t > 0:
            x = x + predicted.variance.sqrt() * noise.normal(t, x.shape[1:])
    assert torch.allclose(made(scale=SCALE, clip=clip), shown(x), atol=2e-6)
    assert (made(scale=SCALE, clip=clip) - made(scale=0.0, clip=clip)).abs().max() > 1e-3


def test_ddim_walks_along_the_guided_noise():
    network, x = tiny_denoiser().network, start()
    for t in range(FIRST, -1, -1):
        abar, before = SHORT.signal[t], SHORT.signal_before[t]
        with torch.no_grad():
            eps = network(x, torch.full((ROWS,), float(SHORT.timesteps[t])))[:, :3]
        eps = eps - (1 - abar) ** 0.5 * SCALE * gradient(x, t)
        clean = (x - (1 - abar) ** 0.5 * eps) / abar**0.5
        x = before**0.5 * clean + (1 - before) ** 0.5 * eps
    assert torch.allclose(made(scale=SCALE, sampler="ddim", clip=False), shown(x), atol=2e-6)


@pytest.mark.parametrize("clip", [False, True])
def test_without_guidance_ddim_is_ddim(clip):
    expected = sample_ddim(Denoiser(tiny_denoiser().network, SHORT), start(), first=FIRST, clip=clip)
    assert torch.allclose(made(scale=0.0, sampler="ddim", clip=clip), shown(expected), atol=2e-6)


def test_a_black_box_may_be_what_the_guide_stands_for():
    classifier = conv_classifier()
    classifier.differentiable = False
    arguments = {"denoiser": tiny_denoiser(), "guide": tiny_guide(), "noise": named_noise(ROWS, PURPOSE)}
    found = explain(classifier, random_images(ROWS), TARGETS, **arguments, steps=STEPS, skip=SKIP)
    assert torch.allclose(found.images, made(), atol=1e-5)


def test_wrong_options_and_guides_are_refused():
    with pytest.raises(UserError, match="sampler is 'ddpm'; use ddim"):
        made(sampler="ddpm")
    with pytest.raises(UserError, match="scale is -1; use 0 or more, such as 10"):
        made(scale=-1)
    with pytest.raises(UserError, match="the guide tells 2 classes apart and classifier 'conv' has 3"):
        made(guide=tiny_guide(2))
