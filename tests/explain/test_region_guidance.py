"""Guidance that may change a region alone, where the answer is known."""

import pytest
import torch

from pipeline.diffusion.denoiser import Denoiser, Prediction
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.guided import Batch
from pipeline.explain.region_guidance import Stabilised, explain, pushed
from tests.explain.guiding import FULL, GaussianData, brightness_classifier, tiny_denoiser
from tests.explain.planted import SIDE, conv_classifier, named_noise, random_images

GAUSSIAN = Denoiser(GaussianData(mean=0.0, deviation=0.3), FULL)


def left_half(rows):
    region = torch.zeros(rows, SIDE, SIDE, dtype=torch.bool)
    region[:, :, : SIDE // 2] = True
    return region


@pytest.mark.parametrize("through_denoiser", [True, False])
def test_the_decision_changes_inside_the_region_and_the_rest_stays(through_denoiser):
    rows, classifier = 6, brightness_classifier()
    images = 0.5 + 0.15 * torch.randn(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(3))
    images, region, targets = images.clamp(0, 1), left_half(rows), torch.tensor([0, 1] * 3)
    region[5] = False
    options = {"denoiser": GAUSSIAN, "noise": named_noise(rows, "region-guidance"), "region": region, "steps": 20}
    options |= {"skip": 5, "scale": 4.0, "through_denoiser": through_denoiser, "batch_size": 4}
    found = explain(classifier, images, targets, **options).images
    assert (classifier(found[:5]).argmax(1) == targets[:5]).all()
    outside = ~region[:, None].expand_as(images)
    assert torch.equal(found[outside], images[outside]) and torch.equal(found[5], images[5])
    moved = (found - images)[:5, :, :, : SIDE // 2].mean(dim=(1, 2, 3)) * (2 * targets[:5] - 1)
    assert (moved > 0).all()


def test_the_classifier_sees_the_image_that_would_come_out():
    images, region, seen = random_images(2), left_half(2), []
    classifier = conv_classifier()
    classifier.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    noise = named_noise(2, "region-guidance")
    settings = {"denoiser": tiny_denoiser(), "noise": noise, "region": region, "steps": 6, "skip": 2, "batch_size": 2}
    explain(classifier, images, torch.tensor([2, 0]), **settings)
    assert len(seen) == 3
    expected = classifier.prepare(images)
    outside = ~region[:, None].expand_as(images)
    assert all(torch.allclose(each[outside], expected[outside], atol=1e-5) for each in seen)


def test_the_first_push_has_the_length_of_the_scale_and_lasting_evidence_that_of_every_step():
    region, slope = left_half(1)[:, None], torch.zeros(1, 3, SIDE, SIDE)
    slope[..., : SIDE // 2] = 1
    batch = Batch(torch.zeros_like(slope), torch.tensor([1]), named_noise(1, "region-guidance"), region)
    guidance = Stabilised(brightness_classifier(), batch, 1.5, through_denoiser=False)
    clean = torch.full_like(slope, -0.5)  # far from the target: the evidence grows by nearly the same with every pixel
    for _ in range(3):
        direction = guidance(clean, Prediction(clean, clean, clean, 0.0), 0)
        assert torch.allclose(direction, 1.5 * slope / slope.norm(), rtol=1e-3)


def test_a_push_of_noise_is_the_walk_from_there_to_the_same_estimate():
    schedule = respaced(FULL, 10)
    noised, clean, push = (torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(k)) for k in range(3))
    predicted = Prediction(schedule.noise(noised, clean, 4), clean, clean, 0.0)
    moved = pushed(schedule, noised, predicted, push, None, 4)
    kept, before = float(schedule.signal[4]), float(schedule.signal[3])
    plain = before**0.5 * clean + (1 - before) ** 0.5 * predicted.noise
    assert torch.allclose(moved - plain, ((1 - before) / (1 - kept)) ** 0.5 * push, atol=1e-5)


def test_a_negative_scale_is_refused():
    with pytest.raises(UserError, match="use 0 or more"):
        explain(
            conv_classifier(),
            random_images(1),
            torch.tensor([1]),
            denoiser=tiny_denoiser(),
            noise=named_noise(1, "region-guidance"),
            region=left_half(1),
            scale=-1.0,
        )
