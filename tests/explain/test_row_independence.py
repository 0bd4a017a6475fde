"""A map never depends on the images beside it: every method, on a convolutional network and a transformer.

In whichever shard, order, company and batch size it is made, it agrees up to float rounding as far as its method
amplifies that: the bound that it declares, which `benchmarks/batch_size.py` measures. Whatever couples rows moves a map
by more: a tenth of what sets two maps apart is at least ten times the bound. Where a random in-filler is declared, it
shows whether the noise, too, is that of the image.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import timm
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.explain.maps import Maps
from pipeline.infill import load_infill
from pipeline.methods import methods
from pipeline.noise import Noise
from tests.explain.declared import SALIENCY, made
from tests.explain.planted import SIDE, conv_classifier, random_images

IMAGES = 7
OTHER_ROWS = (1, 3, 8)
SHUFFLED = [5, 2, 0, 6, 1, 4, 3]
STAYING = [0, 4, 6]  # while strangers take the places of the others


def transformer() -> Classifier:
    """A small real vision transformer of timm, the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_vit", num_classes=3, img_size=SIDE, patch_size=4)
    return Classifier(network, name="transformer", heads={"kind": ["a", "b", "c"]})


@dataclass(frozen=True)
class Judge:
    """A classifier with its usual batch size, and the class that it decides for each image."""

    classifier: Classifier
    rows: int
    targets: torch.Tensor


NETWORKS = {"convolutions": (conv_classifier, 4), "transformer": (transformer, 16)}


@pytest.fixture(scope="module", params=NETWORKS)
def judge(request):
    build, rows = NETWORKS[request.param]
    classifier = build()
    return Judge(classifier, rows, logits_of(classifier, rows).argmax(1))


@pytest.fixture(scope="module")
def usual(judge) -> Callable[[str], Maps]:
    """The maps of all images, together, by a method; made once for all tests of a network."""
    return cache(lambda method: explain(method, judge, range(IMAGES)))


def logits_of(classifier, rows):
    with torch.inference_mode():
        return in_batches(classifier, random_images(IMAGES), batch_size=rows)


def explain(method, judge, order, *, images=None, rows=None):
    """Maps of the images at these places, each with its own noise."""
    tiny = made(method, "saliency")
    infill = getattr(tiny, "infill", None)
    return tiny.function()(
        judge.classifier,
        (random_images(IMAGES) if images is None else images)[order],
        judge.targets[order],
        noise=Noise(11, [f"image-{place}" for place in order], method),
        infill=infill and load_infill(infill),
        batch_size=rows or judge.rows,
        **tiny.keywords(),
    )


@pytest.mark.parametrize("method", SALIENCY)
def test_a_map_does_not_depend_on_shards_order_company_and_batch_size(method, judge, usual):
    maps, bound = usual(method).map, bound_of(method)
    assert apart(maps, maps.roll(1, 0)) > 100 * bound, "maps that are alike prove nothing"
    assert apart(explain(method, judge, SHUFFLED, rows=3).map, maps[SHUFFLED]) <= bound
    strangers = random_images(IMAGES).flip(2).sqrt()
    strangers[STAYING] = random_images(IMAGES)[STAYING]
    assert apart(explain(method, judge, range(IMAGES), images=strangers).map[STAYING], maps[STAYING]) <= bound


def bound_of(method) -> float:
    """Of a map's largest change, as a share of its range, in other company."""
    return methods("saliency")[method].bound


def apart(maps, others):
    """The largest difference of a pixel, as a share of the range of its map."""
    maps, others = maps.flatten(1), others.flatten(1)
    spread = others.amax(1) - others.amin(1)
    assert spread.min() > 0, "a flat map proves nothing"
    return float(((maps - others).abs().amax(1) / spread).max())


@pytest.mark.parametrize("method", SALIENCY)
def test_an_image_alone_in_a_short_batch_has_the_row_that_it_has_among_others(method, judge, usual):
    alone, together = explain(method, judge, [5]), usual(method)
    assert apart(alone.map, together.map[[5]]) <= bound_of(method)
    for name in ("network_evaluations", "steps"):
        one, everyone = getattr(alone, name), getattr(together, name)
        assert (one is None and everyone is None) or one[0] == everyone[5]
    if together.objective is not None:
        assert alone.objective[0].item() == pytest.approx(together.objective[5].item(), rel=1e-3, abs=1e-4)


def test_decisions_are_the_same_at_every_batch_size(judge):
    margins = logits_of(judge.classifier, judge.rows).topk(2).values.diff(dim=1).abs()
    assert margins.min() > 1e-4, "decisions closer than that to each other prove nothing"
    for rows in OTHER_ROWS:
        assert torch.equal(logits_of(judge.classifier, rows).argmax(1), judge.targets)
