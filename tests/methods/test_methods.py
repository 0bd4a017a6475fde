"""Every method by its declaration: found by folder, whole, and with the options and defaults of its function."""

import inspect
import json
import subprocess
import sys

import pytest
import torch
import yaml

import pipeline.explain
import pipeline.methods
from pipeline.errors import UserError
from pipeline.fingerprint import module_digests
from pipeline.infill.declared import heuristics
from pipeline.methods import load_explainer, methods, parse_method
from pipeline.noise import Noise
from pipeline.study import load_study
from pipeline.workflow.plan import Plan
from tests.copied import copy_package
from tests.explain.declared import ATTRIBUTIONS, COUNTERFACTUALS, DIRECTIONS, SALIENCY, made
from tests.explain.planted import conv_classifier, random_images
from tests.guide import ROOT, follow

MAPS = ("classifier", "images", "targets", "noise", "infill", "batch_size", "progress")
IMAGES = ("classifier", "images", "targets", "denoiser", "noise", "batch_size", "progress")
WALKS = ("decode", "score", "codes", "explained", "moves", "batch_size", "device", "progress")
TAKEN = {"saliency": MAPS, "counterfactuals": IMAGES, "directions": ("around", "noise"), "attributions": WALKS}
POSITIONAL = {"saliency": 3, "counterfactuals": 3, "directions": 1, "attributions": 5}
LOADED = {"helper", "guide", "region"}  # of what a study names
FROM_CODE = {"perceptual", "perceptual_weight"}  # a function, which no study can write
FAMILIES = (SALIENCY, COUNTERFACTUALS, DIRECTIONS, ATTRIBUTIONS)
ALL = [(family, name) for family, names in zip(TAKEN, FAMILIES, strict=True) for name in names]


def test_names_are_in_their_order_and_each_is_of_one_method():
    assert all(sorted(names) == names for names in FAMILIES)
    assert {"fido", "bbmp", "random"} < set(SALIENCY) and {"dvce", "vaeth", "pgd"} < set(COUNTERFACTUALS)
    declared = [each.__name__ for family in TAKEN for each in methods(family).values()]
    written = [path.read_text(encoding="utf-8") for path in (ROOT / "pipeline" / "methods").glob("*.py")]
    assert len(set(declared)) == len(declared) == sum(text.count("    method: Literal[") for text in written)


@pytest.mark.parametrize(("family", "name"), ALL)
def test_every_method_is_found_and_takes_what_the_family_takes(family, name):
    parameters = inspect.signature(load_explainer(name, family)).parameters
    first = TAKEN[family][: POSITIONAL[family]]
    assert set(parameters) >= set(TAKEN[family]) and tuple(parameters)[: len(first)] == first
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[len(first) :])


@pytest.mark.parametrize(("family", "name"), ALL)
def test_a_declaration_has_the_options_of_its_function_and_their_defaults(family, name):
    cone = {"cone": {"helper": "helper"}} if "cone" in methods(family)[name].model_fields else {}
    options = made(name, family, cone).keywords()
    parameters = inspect.signature(load_explainer(name, family)).parameters
    assert set(options) == set(parameters) - {*TAKEN[family], *LOADED, *FROM_CODE}
    for key in options:
        default = parameters[key].default
        assert options[key] == (list(default) if isinstance(default, tuple) else default), key


@pytest.mark.parametrize(("family", "name"), ALL)
def test_a_declaration_says_all_that_there_is_to_know(family, name):
    declared = methods(family)[name]
    assert declared.__doc__ and 0 < declared.bound <= 1e-2
    assert "noise" not in TAKEN[family] or declared.purpose()
    assert name in (options["method"] for options in yaml.safe_load(declared.example).values())
    tiny = made(name, family)
    assert parse_method(tiny.options(), family) == tiny  # what a stage reads is what the study says
    if family == "saliency":
        assert tiny.filled_in is None or tiny.filled_in in heuristics()


def test_no_declaration_is_code_that_decides_what_is_computed(monkeypatch):
    monkeypatch.chdir(ROOT)
    plan = Plan(load_study("portraits"))
    declared = {each.__module__ for family in TAKEN for each in methods(family).values()}
    for stage in ("predict", "saliency", "counterfactuals", "directions", "attribute", "score_saliency"):
        assert not declared & module_digests(plan.modules(stage)).keys()


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="use grad-cam"):
        load_explainer("gradcam")
    with pytest.raises(UserError, match="no method 'dcve' for counterfactuals; use dvce"):
        load_explainer("dcve", "counterfactuals")


def in_a_process_of_its_own(code, folder=ROOT):
    """What the code prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=True).stdout


def test_methods_and_in_fillers_are_known_without_waiting_for_torch():
    code = "import sys, pipeline.infill, pipeline.methods as m; m.methods('saliency'); print('torch' in sys.modules)"
    assert in_a_process_of_its_own(code) == "False\n"


def write_two_files(folder):
    added = follow("Add a method", folder)
    assert added == ["pipeline/methods/gradient_input.py", "pipeline/explain/gradient_input.py"]


ADDED = """
import json, sys
from pipeline.study import Study
from pipeline.workflow.plan import Plan
from pipeline.commands.reference import reference, schema_text

study = Study.model_validate({
    "study": "mine",
    "dataset": {"world": "portraits", "size": 32, "rows": 3},
    "classifiers": {"net": {"timm": "resnet18", "classes": ["a", "b"], "task": "smile"}},
    "saliency": {"map": {"method": "gradient-input"}},
})
plan = Plan(study)
(job,) = plan.jobs("saliency")
text = reference()
print(json.dumps({
    "schema": "GradientInput" in json.loads(schema_text())["$defs"],
    "reference": "## saliency: gradient-input" in text and "times-image: {method: gradient-input" in text,
    "evaluations": job.takes.evaluations,
    "module": "pipeline.explain.gradient_input" in plan.modules("saliency"),
    "torch": "torch" in sys.modules,
}))
"""


def test_a_method_of_two_files_is_in_schema_reference_and_plan(tmp_path):
    copy_package(tmp_path)
    write_two_files(tmp_path)
    found = json.loads(in_a_process_of_its_own(ADDED, tmp_path))
    assert found == {"schema": True, "reference": True, "evaluations": 3, "module": True, "torch": False}


def test_a_method_of_two_files_explains(tmp_path, monkeypatch):
    write_two_files(tmp_path)
    for package in (pipeline.methods, pipeline.explain):
        folder = tmp_path.joinpath(*package.__name__.split("."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    methods.cache_clear()
    try:
        method = made("gradient-input", "saliency")
        images, classifier = random_images(3), conv_classifier()
        noise = Noise(1, ["a", "b", "c"], method.purpose())
        maps = method.function()(classifier, images, torch.tensor([0, 1, 2]), noise=noise, **method.keywords())
    finally:
        methods.cache_clear()
        for package in ("methods", "explain"):
            sys.modules.pop(f"pipeline.{package}.gradient_input", None)
    assert maps.map.shape == (3, 16, 16) and maps.map.min() < 0 < maps.map.max()
    assert maps.network_evaluations.tolist() == [method.spends(16, 16).network_evaluations] * 3
