"""Methods with options as a study gives them, for tests that go through all declarations."""

from typing import Any

from pipeline.methods import methods, parse_method
from pipeline.methods.base import Method
from tests.explain.guiding import other_classifier, tiny_denoiser, tiny_guide

SALIENCY, COUNTERFACTUALS = (list(methods(family)) for family in ("saliency", "counterfactuals"))


def made(name: str, family: str, options: dict[str, Any] | None = None) -> Method:
    """The method with these options, or else its tiny ones, and the names of generator and guide that it must have."""
    declared = methods(family)[name]
    named = {key: key for key in ("generator", "guide") if key in declared.model_fields}
    return parse_method({"method": name, **named, **(declared.tiny if options is None else options)}, family)


def networks(method: Method) -> dict[str, Any]:
    """Small real networks for the parts that a method names."""
    build = {"generator": tiny_denoiser, "guide": tiny_guide, "helper": other_classifier}
    return {role: build[role]() for role in method.parts()}
