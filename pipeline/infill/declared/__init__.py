"""The in-fillers that a study can name: what is known of each before it fills anything, in a file of its own.

A heuristic in-filler is a section with its options; one with weights is the section of its network's shape, which a
recipe and a file of weights hold. Both are found by folder, and import no torch.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar, get_args

from pipeline.section import Section


class Heuristic(Section):
    """An in-filler without weights; the key `infill` has its name, and the others are its options."""

    build: ClassVar[str]
    """The function that takes its options and returns an Infill, as module:function."""
    example: ClassVar[str]
    """How a study chooses it with options, as YAML on one line."""

    def options(self) -> dict[str, Any]:
        """The keywords of its function."""
        return self.model_dump(mode="json", exclude={"infill"})

    def called(self) -> str:
        """What tables call it: its name, and the options that differ from its defaults, such as `blur sigma 5`."""
        other = self.model_dump(mode="json", exclude_defaults=True, exclude={"infill"})
        return " ".join([self.infill, *(f"{key} {spelled(value)}" for key, value in other.items())])


class Architecture(Section):
    """The shape of an in-filler with weights."""

    kind: ClassVar[str]
    """What a file of such weights says that it is, and the key of its recipe."""
    network: ClassVar[str]
    """The class of the network, as module:class. It takes the shape; its method `fill` is the function of an Infill."""


@cache
def heuristics() -> dict[str, type[Heuristic]]:
    """The in-fillers without weights, by name."""
    found = declared(Heuristic)
    return {get_args(each.model_fields["infill"].annotation)[0]: each for each in found}


@cache
def architectures() -> dict[str, type[Architecture]]:
    """The shapes of in-fillers with weights, by kind."""
    return {each.kind: each for each in declared(Architecture)}


def spelled(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def called(choice: str | Heuristic) -> str:
    """What tables call the in-filler that a study chooses: by a name, or by a section with options."""
    return choice if isinstance(choice, str) else choice.called()


def entry_of(choice: str | Heuristic | None) -> str | None:
    """The name of its entry in the section `infills`; None where it has no weights."""
    return choice if isinstance(choice, str) and choice not in heuristics() else None


def modules_of(choice: str | Heuristic | None) -> list[str]:
    """The modules that may fill: of an in-filler with weights all that there are, since only its file says which."""
    if choice is None:
        return []
    if entry_of(choice):
        return ["pipeline.infill.file", *sorted({each.network.split(":")[0] for each in architectures().values()})]
    section = heuristics()[choice] if isinstance(choice, str) else choice
    return [section.build.split(":")[0]]


def declared(base: type[Section]) -> list[type[Section]]:
    """The classes of this folder that are made from one."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
