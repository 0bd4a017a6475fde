"""The functions of metrics that are computed by one each."""

from collections.abc import Callable, Iterator
from importlib import import_module

from pipeline.metrics.names import functions


def loaded(family: str) -> Iterator[tuple[str, Callable]]:
    """The metrics of a family that name their functions, with these, whose modules are imported now."""
    for metric, named in functions(family).items():
        module, function = named.split(":")
        yield metric, getattr(import_module(module), function)


def modules(family: str) -> list[str]:
    """The modules of these functions."""
    return sorted({named.split(":")[0] for named in functions(family).values()})
