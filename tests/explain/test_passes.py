"""What one counterfactual takes, foretold by a formula, reported by the explainer, and counted by hooks."""

import pytest
from pydantic import TypeAdapter

from pipeline.explain import COUNTERFACTUALS, load_explainer
from pipeline.explain.passes import PASSES, passes_per_counterfactual
from pipeline.study.counterfactuals import CounterfactualEntry
from tests.explain.guiding import Passes, other_classifier, tiny_denoiser, tiny_guide
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
    "ace": [{"start": 2, "iterations": 3}, {"start": 2, "iterations": 3, "recompute": "steps"}],
    "svce": [{"iterations": 3}],
    "pgd": [{"iterations": 3}, {"ball": "l2"}],
}
EACH = [(method, options) for method in COUNTERFACTUALS for options in CASES[method]]


@pytest.mark.parametrize("method", COUNTERFACTUALS)
def test_every_method_has_a_formula(method):
    assert method in PASSES, f"give {method} a formula in pipeline/explain/passes.py, beside those of {[*PASSES]}"


def test_a_method_without_a_formula_is_named():
    with pytest.raises(ValueError, match="there is no formula for the passes of 'unheard-of'"):
        passes_per_counterfactual("unheard-of", {})


@pytest.mark.parametrize(("method", "changed"), EACH, ids=[f"{method} {options}" for method, options in EACH])
def test_the_formula_tells_what_the_explainer_reports_and_does(method, changed):
    named = {key: key for key in ("generator", "guide") if key in fields(method)}
    section = TypeAdapter(CounterfactualEntry).validate_python({"method": method, **named, **changed})
    options = section.options()
    foretold = passes_per_counterfactual(method, options)
    networks = {"classifier": conv_classifier(), "generator": tiny_denoiser()}
    keywords = {key: value for key, value in options.items() if key not in ("method", "generator", "immutable", "cone")}
    if options.get("cone"):
        networks["helper"] = other_classifier()
        keywords |= {**options["cone"], "helper": networks["helper"]}
    if "guide" in named:
        networks["guide"] = keywords["guide"] = tiny_guide()
    counted = Passes()
    for role, network in networks.items():
        counted.count(role, network if role == "guide" else network.network)
    logits = networks["classifier"].network(random_images(1))
    counted.forward.clear()
    made = load_explainer(method, "counterfactuals")(
        networks["classifier"],
        random_images(1),
        logits.argmin(1),  # which the tiny scales of DiME do not reach, so that all are tried
        denoiser=networks["generator"],
        noise=named_noise(1, "passes"),
        batch_size=1,
        **keywords,
    )
    judged = sum(count.network_evaluations for role, count in foretold.items() if role != "generator")
    generator = foretold.get("generator")
    assert made.classifier_evaluations.tolist() == [judged]
    assert made.denoiser_evaluations.tolist() == [generator.network_evaluations if generator else 0]
    assert made.denoiser_gradients.tolist() == [generator.with_backward + generator.again if generator else 0]
    assert +counted.forward == {role: count.network_evaluations for role, count in foretold.items()}
    backward = {role: count.with_backward + count.again for role, count in foretold.items()}
    assert +counted.backward == {role: count for role, count in backward.items() if count}


def fields(method):
    """The keys of the section of a method."""
    schema = TypeAdapter(CounterfactualEntry).json_schema()
    return next(
        section["properties"]
        for section in schema["$defs"].values()
        if section.get("properties", {}).get("method", {}).get("const") == method
    )
