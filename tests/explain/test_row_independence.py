"""A map never depends on the images beside it: every registered method, on a convolutional network and a transformer.

At one batch size a map is the same to the last bit in whichever shard, order and company it is made. With linear layers
that takes batches of 16 rows or more, as in every stage: products of fewer rows are rounded by where a row stands. At
other batch sizes a map agrees up to the bound of its method, which `benchmarks/batch_size.py` measures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import timm
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.explain import SALIENCY, load_explainer
from pipeline.explain.maps import Maps
from pipeline.infill import load_infill
from pipeline.noise import Noise
from tests.explain.planted import SIDE, conv_classifier, random_images

IMAGES = 7
OTHER_ROWS = (1, 3, 8)
SHARDS = (range(4), range(4, IMAGES))
SHUFFLED = [5, 2, 0, 6, 1, 4, 3]
STAYING = [0, 4, 6]  # while strangers take the places of the others


@dataclass(frozen=True)
class Setting:
    """options: of the method, tiny. bound: of a map's largest change, as a share of its range, at another batch size.

    infill: what stands where pixels are dropped; a random one shows whether the noise, too, is that of the image.
    """

    options: dict
    bound: float
    infill: str | None = None


SETTINGS = {
    "fido": Setting({"grid": 4, "masks": 2, "steps": 5, "warm_up": 1}, 1e-4, "random"),
    "bbmp": Setting({"grid": 4, "steps": 5}, 1e-2, "random"),
    "bbmp-fido": Setting({"grid": 4, "steps": 5}, 1e-4, "random"),
    "gradient": Setting({}, 1e-5),
    "integrated-gradients": Setting({"steps": 4}, 1e-5, "random"),
    "grad-cam": Setting({"smallest_grid": 2, "positive": False}, 1e-5),
    "lime": Setting({"segments": 4, "samples": 8}, 1e-4, "random"),
    "occlusion": Setting({"window": 0.5, "stride": 0.5}, 1e-4, "random"),
    "random": Setting({}, 0.0),
}


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


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Rounding is that of one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def setting_of(method) -> Setting:
    if method not in SETTINGS:
        pytest.fail(f"the method {method!r} has no entry in SETTINGS; give it tiny options and a measured bound")
    return SETTINGS[method]


def explain(method, judge, order, *, images=None, rows=None):
    """Maps of the images at these places, each with its own noise."""
    setting = setting_of(method)
    return load_explainer(method)(
        judge.classifier,
        (random_images(IMAGES) if images is None else images)[order],
        judge.targets[order],
        noise=Noise(11, [f"image-{place}" for place in order], method),
        infill=setting.infill and load_infill(setting.infill),
        batch_size=rows or judge.rows,
        **setting.options,
    )


def test_every_registered_method_is_tested_here():
    for method in SALIENCY:
        setting_of(method)
    assert set(SETTINGS) == set(SALIENCY)


@pytest.mark.parametrize("method", SALIENCY)
def test_shards_order_and_company_change_no_bit(method, judge, usual):
    together = usual(method)
    assert together.map.flatten(1).std(1).min() > 0, "a flat map proves nothing"
    shards = [explain(method, judge, order).map for order in SHARDS]
    assert torch.equal(torch.cat(shards), together.map)
    assert torch.equal(explain(method, judge, SHUFFLED).map, together.map[SHUFFLED])
    strangers = random_images(IMAGES).flip(2).sqrt()
    strangers[STAYING] = random_images(IMAGES)[STAYING]
    assert torch.equal(explain(method, judge, range(IMAGES), images=strangers).map[STAYING], together.map[STAYING])


@pytest.mark.parametrize("method", SALIENCY)
def test_an_image_alone_in_a_short_batch_has_the_row_that_it_has_among_others(method, judge, usual):
    alone, together = explain(method, judge, [5]), usual(method)
    for name in ("map", "objective", "network_evaluations", "steps"):
        one, everyone = getattr(alone, name), getattr(together, name)
        assert (one is None and everyone is None) or torch.equal(one[0], everyone[5])


@pytest.mark.parametrize("method", SALIENCY)
def test_another_batch_size_stays_within_the_bound_of_the_method(method, judge, usual):
    maps = usual(method).map.flatten(1)
    bound = setting_of(method).bound * (maps.amax(1) - maps.amin(1))
    for rows in OTHER_ROWS:
        other = explain(method, judge, range(IMAGES), rows=rows).map.flatten(1)
        assert ((maps - other).abs().amax(1) <= bound).all()
        # The pixel on top is the same one, unless the two stand closer together than the bound.
        fallen = maps.amax(1) - maps.gather(1, other.argmax(1, keepdim=True))[:, 0]
        assert (fallen <= bound).all()


def test_decisions_are_the_same_at_every_batch_size(judge):
    margins = logits_of(judge.classifier, judge.rows).topk(2).values.diff(dim=1).abs()
    assert margins.min() > 1e-4, "decisions closer than that to each other prove nothing"
    for rows in OTHER_ROWS:
        assert torch.equal(logits_of(judge.classifier, rows).argmax(1), judge.targets)
