"""Methods with options as a study gives them, for tests that go through all declarations."""

from collections.abc import Sequence
from typing import Any

import torch

from pipeline.methods import methods, parse_method
from pipeline.methods.base import Method
from tests.explain.guiding import other_classifier, tiny_denoiser, tiny_guide
from tests.explain.planted import SIDE

SALIENCY, COUNTERFACTUALS, DIRECTIONS, ATTRIBUTIONS = (
    list(methods(family)) for family in ("saliency", "counterfactuals", "directions", "attributions")
)
NAMED = {
    **{key: key for key in ("generator", "autoencoder", "direction", "guide")},
    "region": {"parts": ["patch"]},
}


def made(name: str, family: str, options: dict[str, Any] | None = None) -> Method:
    """The method with these options, or else its tiny ones, and what it must name, such as a generator or a region."""
    declared = methods(family)[name]
    named = {key: value for key, value in NAMED.items() if asks(declared, key)}
    return parse_method({"method": name, **named, **(declared.tiny if options is None else options)}, family)


def asks(declared: type[Method], key: str) -> bool:
    """Whether a method has an option that it must be given."""
    return key in declared.model_fields and declared.model_fields[key].is_required()


def networks(method: Method) -> dict[str, Any]:
    """Small real networks for the parts that a method names."""
    build = {"generator": tiny_denoiser, "guide": tiny_guide, "helper": other_classifier}
    return {role: build[role]() for role in method.parts()}


def regions(method: Method, places: Sequence[int]) -> dict[str, torch.Tensor]:
    """Where the images at these places may change, each elsewhere, if the method is confined to a region."""
    if not method.is_confined:
        return {}
    region = torch.zeros(len(places), SIDE, SIDE, dtype=torch.bool)
    for row, place in enumerate(places):
        region[row, place : place + 8, 2 : 12 - place] = True
    return {"region": region}
