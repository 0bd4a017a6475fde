"""What one counterfactual takes, foretold by a formula, reported by the explainer, and counted by hooks."""

import pytest

from tests.explain.declared import COUNTERFACTUALS, made, networks, regions
from tests.explain.guiding import Passes, tiny_denoiser
from tests.explain.planted import conv_classifier, named_noise, random_images

SHORT = {"steps": 6, "skip": 2}
CONE = {"helper": "helper", "angle": 30.0, "projection": "published"}
CASES = {
    "classifier-guidance": [SHORT],
    "blended": [SHORT],
    "dvce": [
        SHORT,
        {**SHORT, "cone": CONE},
        {**SHORT, "cone": CONE, "through_denoiser": False, "augmentations": 2},
        {**SHORT, "through_denoiser": False, "distance_weight": 0},
        {**SHORT, "output": "sample", "distance_through_denoiser": False},
    ],
    "vaeth": [SHORT, {**SHORT, "cone": CONE}, {**SHORT, "through_denoiser": False, "cone": CONE}],
    "dime": [
        {"steps": 8, "start": 4, "scales": [1e-9, 2e-9]},
        {"steps": 8, "start": 4, "scales": [1e-9], "inner": "one-step"},
    ],
    "region-guidance": [SHORT, {**SHORT, "through_denoiser": False}],
    "maskdime": [{"steps": 8, "start": 4, "scales": [1e-9, 2e-9], "spread": 3}],
    "ace": [{"start": 2, "iterations": 3}, {"start": 2, "iterations": 3, "recompute": "steps"}],
    "svce": [{"iterations": 3}],
    "pgd": [{"iterations": 3}, {"ball": "l2"}],
}
EACH = [(method, options) for method in COUNTERFACTUALS for options in CASES.get(method, [{}])]


@pytest.mark.parametrize(("method", "changed"), EACH, ids=[f"{method} {options}" for method, options in EACH])
def test_the_formula_tells_what_the_explainer_reports_and_does(method, changed):
    declared = made(method, "counterfactuals", changed)
    foretold = declared.spends()
    used = {"generator": tiny_denoiser(), **networks(declared), "classifier": conv_classifier()}
    counted = Passes()
    for role, network in used.items():
        counted.count(role, network if role == "guide" else network.network)
    logits = used["classifier"].network(random_images(1))
    counted.forward.clear()
    found = declared.function()(
        used.pop("classifier"),
        random_images(1),
        logits.argmin(1),  # which the tiny scales of DiME do not reach, so that all are tried
        denoiser=used.pop("generator"),
        noise=named_noise(1, "passes"),
        batch_size=1,
        **used,
        **regions(declared, [0]),
        **declared.keywords(),
    )
    judged = sum(count.network_evaluations for role, count in foretold.items() if role != "generator")
    generator = foretold.get("generator")
    assert found.classifier_evaluations.tolist() == [judged]
    assert found.denoiser_evaluations.tolist() == [generator.network_evaluations if generator else 0]
    assert found.denoiser_gradients.tolist() == [generator.with_backward + generator.again if generator else 0]
    assert +counted.forward == {role: count.network_evaluations for role, count in foretold.items()}
    backward = {role: count.with_backward + count.again for role, count in foretold.items()}
    assert +counted.backward == {role: count for role, count in backward.items() if count}
