"""The methods that a study can name: what is known of each before it runs, in a file of its own.

A method is two files: its declaration here, and its function in `pipeline.explain`. Declarations are found by folder,
so that nothing else names a method. They import no torch; and nothing imports them by name, so that none is in the
fingerprint of any code: a changed description computes nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, get_args

from pipeline.errors import UserError, nearest

if TYPE_CHECKING:
    from pipeline.methods.base import Method


@cache
def methods(family: str) -> dict[str, type[Method]]:
    """The declarations of a family by the names of their methods, in their order.

    A family is a section of a study, such as "saliency".
    A declaration is a class with the key `method`; a class without it is what several of them share.
    """
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    declared = [
        value
        for module in modules
        for value in vars(module).values()
        if getattr(value, "__module__", None) == module.__name__ and "method" in getattr(value, "model_fields", {})
    ]
    named = {get_args(each.model_fields["method"].annotation)[0]: each for each in declared if each.family == family}
    return dict(sorted(named.items()))


def declaration(name: str, family: str) -> type[Method]:
    """What is declared of a method; UserError, with the nearest valid name, if there is none of that name."""
    known = methods(family)
    if name not in known:
        close = nearest(name, known) or next(iter(known))
        raise UserError(f"there is no method {name!r} for {family}; use {close} (one of {', '.join(known)})")
    return known[name]


def parse_method(options: Mapping[str, Any], family: str) -> Method:
    """The method with options as they stand in a study or table. Raises pydantic's ValidationError for wrong ones."""
    return declaration(options["method"], family).model_validate(options)


def load_explainer(name: str, family: str = "saliency") -> Callable:
    """The function of a method, which is imported now; UserError, with the nearest valid name, if there is none."""
    return declaration(name, family).function()
