"""MaskDiME on a tiny real U-Net: against its equations written out plainly, and what its masks hold back."""

import pytest
import torch

from pipeline.classifiers.wrap import log_odds
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.maskdime import Options, explain, strongest
from tests.explain.guiding import FULL, GaussianData, tiny_denoiser
from tests.explain.planted import PATCH, SIDE, conv_classifier, named_noise, patch_classifier, random_images

TINY = {"steps": 12, "start": 4, "scales": (9.0,), "spread": 3, "batch_size": 3}


def make(classifier, images, targets, **options):
    settings = {"denoiser": tiny_denoiser(), "noise": named_noise(len(images), "maskdime"), **TINY, **options}
    return explain(classifier, images, targets, **settings)


def contrast(images, originals):
    """A perceptual distance: the mean squared difference of horizontal gradients."""
    return (images - originals).diff(dim=3).square().mean(dim=(1, 2, 3))


def around(pixels):
    """bool (H, W) of the pixels, given by number, and their neighbours."""
    grown = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for pixel in pixels.tolist():
        row, column = divmod(pixel, SIDE)
        grown[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = True
    return grown


def by_the_book(classifier, model, image, target, noise):
    """One image (1, 3, H, W): a share of 0.1 of its 256 pixels is 25, and half of them 12."""
    schedule, shape, x = model.schedule, image.shape[1:], 2 * image - 1
    z, inner = schedule.noised(x, noise.normal(2**32, shape), 3), torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for t in (3, 2, 1, 0):
        with torch.no_grad():
            predicted = model(z, t, clip=True)
        leaf, root = torch.where(inner, predicted.clean, x).requires_grad_(), schedule.signal[t] ** 0.5
        (evidence,) = torch.autograd.grad(-9.0 * log_odds(classifier((leaf + 1) / 2), target).sum(), leaf)
        (perceived,) = torch.autograd.grad(30.0 * contrast((leaf + 1) / 2, image).sum(), leaf)
        order = evidence.abs().mean(1).flatten().argsort(descending=True)
        outer, inner = around(order[:25]), around(order[:12])
        slope = 8 * (evidence / root + 0.05 * (z - x).sign() + perceived / root)
        source = schedule.noised(x, noise.for_purpose("maskdime: outside").normal(t, shape), t)
        z = torch.where(outer, predicted.mean - predicted.variance * slope, source)
    return ((z + 1) / 2).clamp(0, 1)


def test_the_walk_is_that_of_the_equations():
    classifier, images, targets, noise = (
        conv_classifier(),
        random_images(2),
        torch.tensor([2, 0]),
        named_noise(2, "maskdime"),
    )
    made = make(classifier, images, targets, noise=noise, share=0.1, perceptual=contrast).images
    model = Denoiser(tiny_denoiser().network, respaced(FULL, 12))
    for row in range(2):
        exact = by_the_book(classifier, model, images[[row]], targets[[row]], noise.select([row]))
        assert torch.allclose(made[[row]], exact, atol=1e-5)


def test_the_only_patch_that_is_read_is_what_changes():
    images, smooth = random_images(3) * 0.3, Denoiser(GaussianData(mean=0.0, deviation=0.3), FULL)
    white = torch.ones(3, dtype=torch.int64)
    classifier = patch_classifier(evidence=-8.0)  # whatever it shows, "black" is decided until it is very dark
    found = make(classifier, images, white, denoiser=smooth, share=16 / 256, start=8, scales=(20.0,)).images
    patch = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    patch[PATCH] = True
    near = torch.nn.functional.max_pool2d(patch[None].float(), 3, stride=1, padding=1)[0] > 0
    changed = (found - images).abs().mean(1)
    assert changed[:, ~near].max() < 0.05  # the noise of the first step
    assert log_odds(classifier(found), white).mean() > log_odds(classifier(images), white).mean() + 0.5


def test_outside_the_region_nothing_moves_and_the_masks_are_inside():
    region = torch.zeros(3, SIDE, SIDE, dtype=torch.bool)
    region[:, 3:12, 5:9] = True
    images = random_images(3)
    found = make(conv_classifier(), images, torch.tensor([2, 0, 1]), region=region, share=0.2).images
    outside = ~region[:, None].expand_as(images)
    assert torch.equal(found[outside], images[outside])
    assert (found - images)[~outside].abs().mean() > 1e-2
    options = Options(4, "log-odds", 8.0, 0.0, None, 30.0, 0.2, 0.5, 3)
    outer, inner = strongest(torch.randn(3, 3, SIDE, SIDE), options, region[:, None])
    assert not (outer & ~region[:, None]).any() and not (inner & ~outer).any() and inner.any()


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"evidence": "log odds"}, "use log-odds"),
        ({"share": 0.0}, "such as 0.5"),
        ({"spread": 4}, "odd number"),
        ({"start": 13}, "use 1 to 12"),
    ],
)
def test_a_wrong_option_is_answered_with_a_valid_one(options, hint):
    with pytest.raises(UserError, match=hint):
        make(conv_classifier(), random_images(1), torch.tensor([1]), **options)
