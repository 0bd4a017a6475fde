"""The losses of Blended Diffusion, against their equations."""

import pytest
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.samplers import noised_start
from pipeline.diffusion.schedule import respaced
from pipeline.errors import UserError
from pipeline.explain.blended import PURPOSE, explain
from tests.explain.guiding import FULL, tiny_denoiser
from tests.explain.planted import conv_classifier, named_noise, random_images

ROWS, STEPS, SKIP = 2, 12, 9
TARGETS = torch.tensor([2, 0])


def made(rows=ROWS, **options):
    return explain(
        conv_classifier(),
        random_images(ROWS)[:rows],
        TARGETS[:rows],
        denoiser=tiny_denoiser(),
        noise=named_noise(rows, PURPOSE),
        **({"steps": STEPS, "skip": SKIP, "batch_size": rows} | options),
    ).images


def edges(one, other):
    """A stand-in for a perceptual distance: how much the edges differ."""
    return (one.diff(dim=-1) - other.diff(dim=-1)).square().sum(dim=(1, 2, 3))


@pytest.mark.parametrize(
    ("weights", "perceptual"),
    [((25.0, 50.0, 100.0, 0.0), None), ((25.0, 50.0, 0.0, 0.0), None), ((5.0, 500.0, 30.0, 0.5), edges)],
)
def test_each_image_follows_its_own_loss(weights, perceptual):
    of_classifier, of_range, of_l2, of_perceptual = weights
    schedule, first = respaced(FULL, STEPS), STEPS - SKIP - 1
    denoiser, classifier = Denoiser(tiny_denoiser().network, schedule), conv_classifier()
    noise, originals = named_noise(ROWS, PURPOSE), 2 * random_images(ROWS) - 1
    x = noised_start(denoiser, originals, noise, first)
    for t in range(first, -1, -1):
        x = x.detach().requires_grad_()
        predicted = denoiser(x, t)
        clean, f = predicted.clean, (1 - schedule.signal[t]) ** 0.5
        y = f * clean + (1 - f) * x
        loss = 0
        for row in range(ROWS):
            logits = classifier(((y[[row]] + 1) / 2).clamp(0, 1))
            loss = loss - of_classifier * logits.log_softmax(1)[0, TARGETS[row]]
            loss = loss + of_range * ((clean[row] - clean[row].clamp(-1, 1)) ** 2).mean()
            loss = loss + of_l2 * ((y[row] - originals[row]) ** 2).mean()
            if perceptual:
                distance = perceptual((y[[row]] + 1) / 2, (originals[[row]] + 1) / 2)
                loss = loss + of_perceptual * distance[0]
        x = predicted.mean - predicted.variance * torch.autograd.grad(loss, x)[0]
        x = (x + predicted.variance.sqrt() * noise.normal(t, x.shape[1:])).detach()
    names = ("classifier_weight", "range_weight", "l2_weight", "perceptual_weight")
    found = made(perceptual=perceptual, **dict(zip(names, weights, strict=True)))
    assert torch.allclose(found, (clean.detach() / 2 + 0.5).clamp(0, 1), atol=5e-6)


def test_the_background_terms_keep_to_the_original():
    def change(**options):
        return (made(**options) - random_images(ROWS)).abs()

    def of_edges(**options):
        return (made(**options) - random_images(ROWS)).diff(dim=-1).abs().mean()

    free = {"l2_weight": 0.0}
    assert change(l2_weight=300.0).mean() < 0.98 * change(**free).mean()
    assert of_edges(**free, perceptual=edges, perceptual_weight=1.0) < 0.98 * of_edges(**free)


def test_the_balance_of_the_losses_does_not_depend_on_the_batch():
    assert torch.allclose(made(rows=1, l2_weight=50.0)[0], made(rows=2, l2_weight=50.0)[0], atol=5e-6)


def test_wrong_options_are_refused():
    with pytest.raises(UserError, match="blended: range_weight is -1; use 0 or more"):
        made(range_weight=-1)
    black_box = Classifier(conv_classifier().network, name="box", heads={"kind": list("abc")}, differentiable=False)
    with pytest.raises(UserError, match="method 'blended' needs gradients and classifier 'box' gives none"):
        explain(black_box, random_images(1), TARGETS[:1], denoiser=tiny_denoiser(), noise=named_noise(1, PURPOSE))
