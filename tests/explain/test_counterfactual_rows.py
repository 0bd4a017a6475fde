"""A counterfactual never depends on the images beside it: every method.

In whichever shard, order, company and batch size it is made, it agrees up to float rounding as far as its method
amplifies that: the bound that it declares, which `benchmarks/batch_size.py` measures.
"""

from functools import cache

import pytest
import torch

from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.methods import methods
from pipeline.noise import Noise
from tests.explain.declared import COUNTERFACTUALS, made, networks, regions
from tests.explain.planted import conv_classifier, random_images

IMAGES, ROWS, OTHER_ROWS = 5, 6, 2
SHUFFLED = [4, 2, 0, 1, 3]
STAYING = [0, 3]  # while strangers take the places of the others


def make(method, order, *, images=None, rows=ROWS) -> Counterfactuals:
    """Counterfactuals of the images at these places, each with its own target, region, sample and noise."""
    order, tiny = list(order), made(method, "counterfactuals")
    used = networks(tiny)
    return tiny.function()(
        conv_classifier(),
        (random_images(IMAGES) if images is None else images)[order],
        torch.tensor([place % 3 for place in order]),
        denoiser=used.pop("generator", None),
        noise=Noise(11, [f"image-{place}" for place in order], method, [place % 2 for place in order]),
        batch_size=rows,
        **used,
        **regions(tiny, order),
        **tiny.keywords(),
    )


@cache
def together(method) -> Counterfactuals:
    """All images at once; made once for all tests."""
    return make(method, range(IMAGES))


@pytest.mark.parametrize("method", COUNTERFACTUALS)
def test_a_counterfactual_does_not_depend_on_shards_order_company_and_batch_size(method):
    images, bound = together(method).images, bound_of(method)
    changed = images - random_images(IMAGES)
    assert apart(changed, changed.roll(1, 0)) > 100 * bound, "changes that are alike prove nothing"
    assert apart(make(method, SHUFFLED, rows=OTHER_ROWS).images, images[SHUFFLED]) <= bound
    strangers = random_images(IMAGES).flip(2).sqrt()
    strangers[STAYING] = random_images(IMAGES)[STAYING]
    assert apart(make(method, range(IMAGES), images=strangers).images[STAYING], images[STAYING]) <= bound


def bound_of(method) -> float:
    """Of the largest change of a value in other company."""
    return methods("counterfactuals")[method].bound


def apart(images, others):
    """The largest difference of a value."""
    return float((images - others).abs().max())


@pytest.mark.parametrize("method", COUNTERFACTUALS)
def test_an_image_alone_in_a_short_batch_has_the_row_that_it_has_among_others(method):
    alone, everyone = make(method, [2]), together(method)
    assert apart(alone.images[0], everyone.images[2]) <= bound_of(method)
    for name in ("classifier_evaluations", "denoiser_evaluations", "denoiser_gradients"):
        assert getattr(alone, name)[0] == getattr(everyone, name)[2]
