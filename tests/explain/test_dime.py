"""DiME on a tiny real U-Net: against its equations written out plainly, and its passes counted."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import noised_start, sample_ancestral
from pipeline.diffusion.schedule import full_schedule, respaced
from pipeline.errors import UserError
from pipeline.explain.dime import distance_slope, explain
from tests.explain.guiding import shallow_unet
from tests.explain.planted import conv_classifier, named_noise, random_images

TINY = {"steps": 12, "start": 4, "batch_size": 3}
NO_PULL = {"l1_weight": 0.0}


def denoiser(**changed):
    return Denoiser(shallow_unet(**changed), full_schedule("linear", 100))


def make(classifier, images, targets, **options):
    settings = {"denoiser": denoiser(), "noise": named_noise(len(images), "dime"), **TINY, **options}
    return explain(classifier, images, targets, **settings)


class Brightness(torch.nn.Module):
    """Log-odds of "bright" are 60 times what the mean of the image is above one half."""

    def forward(self, images):
        score = 60 * (images.mean(dim=(1, 2, 3)) - 0.5)
        return torch.stack([-score / 2, score / 2], dim=1)


def brightness_classifier(**options):
    return Classifier(Brightness(), name="brightness", heads={"light": ("dark", "bright")}, **options)


def contrast(images, originals):
    """A perceptual distance: the mean squared difference of horizontal gradients."""
    return (images - originals).diff(dim=3).square().mean(dim=(1, 2, 3))


def dime_by_the_book(classifier, model, image, target, noise, inner, scale, start, l1, l2, perceptual):
    """One image (1, 3, H, W), every walk written out with the published number of passes."""
    schedule, shape = model.schedule, image.shape[1:]
    original = 2 * image - 1
    last = start - 1
    z = schedule.noised(original, noise.normal(2**32, shape), last)
    x = original
    for t in range(last, -1, -1):
        of_z, of_x = z.clone().requires_grad_(), x.clone().requires_grad_()
        near = l1 * (of_z - original).abs().sum() + l2 * (of_z - original).square().sum(1).sqrt().sum()
        score = classifier((of_x + 1) / 2).log_softmax(1)[0]
        loss = -scale * (score[target] - torch.log1p(-score[target].exp()))
        loss = loss + perceptual * contrast((of_x + 1) / 2, (original + 1) / 2).sum()
        root = schedule.signal[t] ** 0.5
        slope = torch.autograd.grad(loss, of_x)[0] / root + torch.autograd.grad(near, of_z)[0]
        with torch.no_grad():
            predicted = model(z, t, clip=True)
            z = predicted.mean - predicted.variance * slope
            if t > 0:
                z = z + predicted.variance**0.5 * noise.normal(t, shape)
                x = z
                for below in range(t - 1, -1, -1):
                    said = model(x, below, clip=True)
                    if inner == "one-step":
                        x = said.clean
                        break
                    x = said.mean
                    if below > 0:
                        fresh = noise.for_purpose(f"dime: inner {t - 1}").normal(below, shape)
                        x = x + said.variance**0.5 * fresh
    return ((z + 1) / 2).clamp(0, 1)


@pytest.mark.parametrize("inner", ["full", "one-step"])
def test_the_walk_is_that_of_the_equations(inner):
    classifier, images, targets = conv_classifier(), random_images(2), torch.tensor([2, 0])
    noise, full = named_noise(2, "dime"), denoiser()
    options = {"l1_weight": 0.1, "l2_weight": 0.3, "perceptual": contrast, "perceptual_weight": 500.0}
    made = make(classifier, images, targets, denoiser=full, noise=noise, scales=(9.0,), inner=inner, **options).images
    model = Denoiser(full.network, respaced(full.schedule, 12))
    for row in range(2):
        exact = dime_by_the_book(
            classifier, model, images[[row]], targets[row], noise.select([row]), inner, 9.0, 4, 0.1, 0.3, 500.0
        )
        assert torch.allclose(made[[row]], exact, atol=1e-5)


def test_with_nothing_to_follow_it_is_a_walk_of_the_diffusion_model():
    images, noise, full = random_images(3), named_noise(3, "dime"), denoiser()
    targets = torch.ones(3, dtype=torch.int64)
    made = make(brightness_classifier(), images, targets, denoiser=full, noise=noise, scales=(1e-9,), **NO_PULL)
    model = Denoiser(full.network, respaced(full.schedule, 12))
    walked = sample_ancestral(model, noised_start(model, 2 * images - 1, noise, 3), noise, first=3)
    assert torch.allclose(made.images, ((walked + 1) / 2).clamp(0, 1), atol=1e-5)


def test_a_larger_scale_brings_more_evidence():
    classifier, images, targets = brightness_classifier(), random_images(3), torch.tensor([1, 0, 1])
    evidence = [
        log_odds(classifier(make(classifier, images, targets, scales=(scale,)).images), targets)
        for scale in (1.0, 30.0, 200.0)
    ]
    assert (evidence[0] < evidence[1]).all() and (evidence[1] < evidence[2]).all()


def test_a_larger_weight_of_the_distance_keeps_images_closer():
    images, targets = random_images(3), torch.ones(3, dtype=torch.int64)
    distances = [
        (make(brightness_classifier(), images, targets, l1_weight=weight).images - images).abs().mean()
        for weight in (0.0, 20.0)
    ]
    assert distances[1] < 0.95 * distances[0]


def test_the_slope_of_the_distances_is_their_gradient_and_zero_where_nothing_changed():
    class Weights:
        l1_weight, l2_weight = 0.7, 1.3

    change = torch.randn(2, 3, 4, 4, requires_grad=True)
    distance = 0.7 * change.abs().sum() + 1.3 * torch.linalg.vector_norm(change, dim=1).sum()
    (exact,) = torch.autograd.grad(distance, change)
    assert torch.allclose(distance_slope(change.detach(), Weights), exact, atol=1e-6)
    assert torch.equal(distance_slope(torch.zeros(1, 3, 2, 2), Weights), torch.zeros(1, 3, 2, 2))


def images_by_need():
    """From already bright to very dark, which ever larger scales flip."""
    shades = torch.tensor([0.75, 0.42, 0.05, 0.36]).view(-1, 1, 1, 1)
    return (shades + 0.1 * (random_images(4) - 0.5)).clamp(0, 1)


def retried(**options):
    classifier, images, targets = brightness_classifier(), images_by_need(), torch.ones(4, dtype=torch.int64)
    calm = denoiser()
    for parameter in calm.network.out.parameters():
        parameter.data.zero_()  # noise predicted as 0: images keep their brightness
    made = make(classifier, images, targets, denoiser=calm, batch_size=4, **options)
    return made, classifier(made.images).argmax(1) == 1


def test_only_images_that_did_not_flip_are_tried_at_the_next_scale():
    alone = {scale: retried(scales=(scale,)) for scale in (1.0, 12.0)}
    together, flipped = retried(scales=(1.0, 12.0))
    early, late = alone[1.0][1], alone[12.0][1]
    assert early.any() and (late & ~early).any() and (~late).any()  # the case holds all three fates
    assert torch.allclose(together.images[early], alone[1.0][0].images[early], atol=1e-5)
    assert torch.allclose(together.images[~early], alone[12.0][0].images[~early], atol=1e-5)
    assert torch.equal(flipped, early | late)
    once, inner = 4, 4 + 3
    assert together.classifier_evaluations.tolist() == [once + 1 if done else 2 * once + 1 for done in early]
    assert together.denoiser_evaluations.tolist() == [inner if done else 2 * inner for done in early]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_a_retry_is_the_same_whatever_the_slots_that_the_others_left(batch_size):
    classifier, images, targets = brightness_classifier(), images_by_need(), torch.ones(4, dtype=torch.int64)
    usual = make(classifier, images, targets, scales=(1.0, 12.0), batch_size=3)
    other = make(classifier, images, targets, scales=(1.0, 12.0), batch_size=batch_size)
    assert torch.allclose(usual.images, other.images, atol=1e-4)
    assert torch.equal(usual.denoiser_evaluations, other.denoiser_evaluations)


@pytest.mark.parametrize(("inner", "passes"), [("full", 5 * 6 // 2 - 4), ("one-step", 5)])
def test_passes_are_as_many_as_reported_and_none_through_the_denoiser_is_differentiated(inner, passes):
    seen, asked, graphs, full, classifier = [], [], [], denoiser(), brightness_classifier()
    full.network.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    full.network.register_forward_hook(lambda module, inputs, output: graphs.append(output.requires_grad))
    classifier.network.register_forward_hook(lambda module, inputs, output: asked.append(len(output)))
    made = make(
        classifier,
        random_images(2) * 0.1,
        torch.ones(2, dtype=torch.int64),
        denoiser=full,
        scales=(0.01, 0.02),
        start=5,
        batch_size=2,
        inner=inner,
    )
    assert made.denoiser_evaluations.tolist() == [2 * passes] * 2 and sum(seen) == 2 * 2 * passes
    assert made.classifier_evaluations.tolist() == [2 * 5 + 1] * 2 and sum(asked) == 2 * (2 * 5 + 1)
    assert made.denoiser_gradients.tolist() == [0, 0] and not any(graphs)
    assert all(parameter.grad is None for parameter in full.network.parameters())


def test_frozen_networks_are_fine_and_every_image_is_counted_once():
    full, finished = denoiser(), []
    full.network.requires_grad_(False)
    images = images_by_need()
    made = make(
        brightness_classifier(),
        images,
        torch.ones(4, dtype=torch.int64),
        denoiser=full,
        progress=finished.append,
        scales=(1.0, 12.0),
    )
    assert sum(finished) == 4 and not made.images.requires_grad
    assert made.images.min() >= 0 and made.images.max() <= 1


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"evidence": "log odds"}, "use log-odds"),
        ({"inner": "one-stp"}, "use one-step"),
        ({"start": 13}, "use 1 to 12"),
        ({"steps": 101}, "such as 50"),
        ({"scales": ()}, r"such as \[8, 10, 15\]"),
        ({"l2_weight": -1.0}, "use 0 or more"),
    ],
)
def test_a_wrong_option_is_answered_with_a_valid_one(options, hint):
    with pytest.raises(UserError, match=hint):
        make(brightness_classifier(), random_images(1), torch.tensor([1]), **options)


def test_a_black_box_is_refused():
    with pytest.raises(UserError, match="needs gradients"):
        make(brightness_classifier(differentiable=False), random_images(1), torch.tensor([1]))
