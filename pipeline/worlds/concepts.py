"""What a world can vary: concepts, each with a few named values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError, nearest


@dataclass(frozen=True)
class Concept:
    """A named property of an image that takes one of several named values; a value's index is its place in `values`."""

    name: str
    values: tuple[str, ...]

    def index(self, value: int | str) -> int:
        """Return the index of a value given by index or by name; raise UserError for one that does not exist."""
        if isinstance(value, str) and value in self.values:
            return self.values.index(value)
        if isinstance(value, int | np.integer) and not isinstance(value, bool) and 0 <= value < len(self.values):
            return int(value)
        raise UserError(unknown(f'concept "{self.name}" has no value', value, self.values))


def find_concept(concepts: Iterable[Concept], name: str) -> Concept:
    """Return the concept of that name; raise UserError, with the nearest valid name, if there is none."""
    concepts = tuple(concepts)
    for concept in concepts:
        if concept.name == name:
            return concept
    raise UserError(unknown("there is no concept", name, [concept.name for concept in concepts]))


def unknown(complaint: str, word: object, valid: Iterable[str]) -> str:
    """Build the sentence for an unknown name: the complaint, the nearest valid name if one is near, and all of them."""
    valid = list(valid)
    close = nearest(str(word), valid)
    suggestion = f'; did you mean "{close}"?' if close else "."
    return f'{complaint} "{word}"{suggestion} Valid: {", ".join(valid)}.'
