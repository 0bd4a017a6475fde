"""A counterfactual never depends on the images beside it: every registered method.

In whichever shard, order, company and batch size it is made, it agrees up to float rounding as far as its method
amplifies that: the bound of the method, which `benchmarks/batch_size.py` measures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from pipeline.explain import COUNTERFACTUALS, load_explainer
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.noise import Noise
from tests.explain.guiding import other_classifier, tiny_denoiser, tiny_guide
from tests.explain.planted import conv_classifier, random_images

IMAGES, ROWS, OTHER_ROWS = 5, 6, 2
SHUFFLED = [4, 2, 0, 1, 3]
STAYING = [0, 3]  # while strangers take the places of the others
WALK = {"steps": 8, "skip": 4}


@dataclass(frozen=True)
class Setting:
    """options: of the method, tiny. bound: of the largest change of a value in other company."""

    options: Callable[[], dict]
    bound: float


SETTINGS = {
    "classifier-guidance": Setting(lambda: {**WALK, "guide": tiny_guide()}, 1e-5),
    "blended": Setting(lambda: {**WALK, "l2_weight": 50.0}, 1e-5),
    "dvce": Setting(lambda: {**WALK, "helper": other_classifier(), "augmentations": 2}, 1e-5),
    "vaeth": Setting(lambda: {**WALK, "helper": other_classifier()}, 1e-5),
    "dime": Setting(lambda: {"steps": 8, "start": 3, "scales": [1.0, 4.0]}, 1e-5),
    "ace": Setting(lambda: {"start": 2, "iterations": 3, "threshold": 0.05, "dilation": 3}, 1e-5),
    "svce": Setting(lambda: {"iterations": 4, "radius": 4.0}, 1e-5),
    "pgd": Setting(lambda: {"iterations": 3}, 1e-5),
}


def setting_of(method) -> Setting:
    if method not in SETTINGS:
        pytest.fail(f"the method {method!r} has no entry in SETTINGS; give it tiny options and a measured bound")
    return SETTINGS[method]


def make(method, order, *, images=None, rows=ROWS) -> Counterfactuals:
    """Counterfactuals of the images at these places, each with its own target, sample and noise."""
    order = list(order)
    return load_explainer(method, "counterfactuals")(
        conv_classifier(),
        (random_images(IMAGES) if images is None else images)[order],
        torch.tensor([place % 3 for place in order]),
        denoiser=tiny_denoiser(),
        noise=Noise(11, [f"image-{place}" for place in order], method, [place % 2 for place in order]),
        batch_size=rows,
        **setting_of(method).options(),
    )


@cache
def together(method) -> Counterfactuals:
    """All images at once; made once for all tests."""
    return make(method, range(IMAGES))


def test_every_registered_method_is_tested_here():
    for method in COUNTERFACTUALS:
        setting_of(method)
    assert set(SETTINGS) == set(COUNTERFACTUALS)


@pytest.mark.parametrize("method", COUNTERFACTUALS)
def test_a_counterfactual_does_not_depend_on_shards_order_company_and_batch_size(method):
    images, bound = together(method).images, setting_of(method).bound
    changed = images - random_images(IMAGES)
    assert apart(changed, changed.roll(1, 0)) > 100 * bound, "changes that are alike prove nothing"
    assert apart(make(method, SHUFFLED, rows=OTHER_ROWS).images, images[SHUFFLED]) <= bound
    strangers = random_images(IMAGES).flip(2).sqrt()
    strangers[STAYING] = random_images(IMAGES)[STAYING]
    assert apart(make(method, range(IMAGES), images=strangers).images[STAYING], images[STAYING]) <= bound


def apart(images, others):
    """The largest difference of a value."""
    return float((images - others).abs().max())


@pytest.mark.parametrize("method", COUNTERFACTUALS)
def test_an_image_alone_in_a_short_batch_has_the_row_that_it_has_among_others(method):
    alone, everyone = make(method, [2]), together(method)
    assert apart(alone.images[0], everyone.images[2]) <= setting_of(method).bound
    for name in ("classifier_evaluations", "denoiser_evaluations", "denoiser_gradients"):
        assert getattr(alone, name)[0] == getattr(everyone, name)[2]
