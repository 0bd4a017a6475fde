"""What the entries of networks in a study share: one key tells where the network is, the others what its file does not.

No torch is needed to read one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from pydantic import PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pipeline.errors import UserError
from pipeline.section import Section


class Entry(Section):
    """A network of a study: exactly one key of `loaders`, or `trained`, says where it comes from."""

    kind: ClassVar[str]
    """What messages call such a network."""
    loaders: ClassVar[Mapping[str, str]]
    """The function that loads each format, as module:function; it takes the entry."""
    _name: str = PrivateAttr("")

    @classmethod
    def sources(cls) -> list[str]:
        """The keys that say where it comes from, in the order of the section."""
        return [key for key in cls.model_fields if key in cls.loaders or key == "trained"]

    def model_post_init(self, context: Any) -> None:
        self._name = (context or {}).get("name", "")

    @model_validator(mode="after")
    def come_from_one_place(self) -> Entry:
        given = [key for key in self.sources() if getattr(self, key)]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "{one} has exactly one of the keys {keys}; here there is {given}",
                {
                    "one": f"{'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind}",
                    "keys": ", ".join(self.sources()),
                    "given": " and ".join(given) or "none",
                },
            )
        return self

    @property
    def format(self) -> str:
        """The key that says where it comes from."""
        return next(key for key in self.sources() if getattr(self, key))

    @property
    def source(self) -> str:
        """The path or name that it comes from."""
        return getattr(self, self.format)

    @property
    def name(self) -> str:
        """What the study calls it, if `parse_entry` was told."""
        return self._name

    @property
    def owner(self) -> str:
        """Whose files they are, as messages begin."""
        return f"{self.kind} '{self.name}'"


AnyEntry = TypeVar("AnyEntry", bound=Entry)


def parse_entry(section: type[AnyEntry], name: str, values: Mapping[str, Any]) -> AnyEntry:
    """The entry of that name, to be loaded; values that are None count as not given.

    Raises UserError, one line per mistake, for what a study could not say either, and for the recipe of a network,
    whose file only a study knows.
    """
    given = {key: value for key, value in values.items() if value is not None}
    try:
        entry = section.model_validate(given, context={"name": name})
    except ValidationError as error:
        told = dict.fromkeys(sentence(mistake) for mistake in error.errors())
        raise UserError("\n".join(f"{section.kind} '{name}': {each}" for each in told)) from None
    if entry.format == "trained":
        raise UserError(f"{entry.owner} is the recipe {entry.source} of a study; give `file`, where its weights are.")
    return entry


def sentence(mistake: Mapping[str, Any]) -> str:
    """One mistake of an entry: where it is, what is expected, what is there."""
    said = mistake["msg"]
    if where := ".".join(map(str, mistake["loc"])):
        said = f"{where}: {said[0].lower()}{said[1:]}, not {mistake['input']!r}"
    return said if said.endswith(("?", ".")) else f"{said}."
