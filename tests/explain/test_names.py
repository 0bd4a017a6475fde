"""The names by which a study asks for methods and in-fillers."""

import inspect
import subprocess
import sys

import pytest

from pipeline.errors import UserError
from pipeline.explain import COUNTERFACTUALS, SALIENCY, load_explainer

EVERYONE = ("classifier", "images", "targets", "noise", "infill", "batch_size", "progress")
ALWAYS = {"classifier", "images", "targets", "denoiser", "noise", "batch_size", "progress"}


@pytest.mark.parametrize("name", SALIENCY)
def test_every_method_is_found_and_takes_what_the_family_takes(name):
    parameters = inspect.signature(load_explainer(name)).parameters
    assert tuple(parameters)[: len(EVERYONE)] == EVERYONE
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[3:])


@pytest.mark.parametrize("name", COUNTERFACTUALS)
def test_every_method_that_makes_counterfactuals_takes_what_the_family_takes(name):
    parameters = inspect.signature(load_explainer(name, "counterfactuals")).parameters
    assert set(parameters) >= ALWAYS and list(parameters)[:3] == ["classifier", "images", "targets"]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[3:])


def test_a_wrong_name_is_answered_with_the_nearest():
    with pytest.raises(UserError, match="use grad-cam"):
        load_explainer("gradcam")
    with pytest.raises(UserError, match="no method 'dcve' for counterfactuals; use dvce"):
        load_explainer("dcve", "counterfactuals")


def test_names_are_known_without_waiting_for_torch():
    code = "import sys, pipeline.explain, pipeline.infill; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
