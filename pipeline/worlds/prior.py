"""The joint distribution of a world's concepts: how often each value occurs, and with which others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.errors import UserError
from pipeline.worlds.concepts import Concept, find_concept, unknown

TOLERANCE = 1e-6


@dataclass(frozen=True)
class Component:
    """One part of a mixture: with probability `weight` the concepts in `fixed` take these value indices."""

    weight: float
    fixed: dict[str, int]


@dataclass(frozen=True)
class Prior:
    """A mixture of partial assignments; concepts that the drawn component leaves open follow independent marginals.

    marginals: per concept, the probability of each of its values, in order. mixture: weights sum to 1.
    Any joint distribution is a mixture of full assignments. Make one with `Prior.from_options`, which validates.
    """

    concepts: tuple[Concept, ...]
    marginals: dict[str, tuple[float, ...]]
    mixture: tuple[Component, ...]

    @classmethod
    def from_options(cls, options: Mapping | None, concepts: Sequence[Concept]) -> Prior:
        """Build a prior from the words of a study: {"marginals": {concept: {value: probability}}, "mixture": [...]}.

        A mixture is a list of {"weight": probability, "set": {concept: value}}. Concepts without a marginal are
        uniform; values that a marginal leaves out have probability 0. Nothing given: all independent and uniform.
        Raises UserError for unknown names and for probabilities that are negative or do not sum to 1.
        """
        options = _mapping(options or {}, "a prior", ("marginals", "mixture"))
        marginals = {concept.name: (1 / len(concept.values),) * len(concept.values) for concept in concepts}
        for name, probabilities in _mapping(options.get("marginals") or {}, "marginals").items():
            marginals[name] = _marginal(find_concept(concepts, name), probabilities)
        parts = options.get("mixture") or [{"weight": 1.0, "set": {}}]
        if not isinstance(parts, list | tuple):
            raise UserError(f"a mixture is a list of {{weight: ..., set: {{...}}}}, not {parts!r}.")
        mixture = tuple(_component(part, concepts) for part in parts)
        _check_sum([component.weight for component in mixture], "the weights of the mixture")
        return cls(tuple(concepts), marginals, mixture)

    def draw(self, generator: np.random.Generator) -> dict[str, int]:
        """Draw the value index of every concept.

        Takes one uniform number for the mixture and one per concept, whatever the prior: under another prior, equal
        streams change only what they must.
        """
        numbers = generator.random(1 + len(self.concepts)).tolist()
        component = self.mixture[_invert([component.weight for component in self.mixture], numbers[0])]
        drawn = {
            concept.name: _invert(self.marginals[concept.name], number)
            for concept, number in zip(self.concepts, numbers[1:], strict=True)
        }
        return {**drawn, **component.fixed}

    def probability(self, assignment: Mapping[str, int | str]) -> float:
        """Return the probability that these concepts take these values (index or name); the others are summed out."""
        values = {name: find_concept(self.concepts, name).index(value) for name, value in assignment.items()}
        return math.fsum(
            component.weight
            * math.prod(
                float(component.fixed[name] == value) if name in component.fixed else self.marginals[name][value]
                for name, value in values.items()
            )
            for component in self.mixture
        )


def _marginal(concept: Concept, probabilities: Mapping[str, float]) -> tuple[float, ...]:
    """Return one concept's probabilities in the order of its values."""
    where = f'the probabilities of concept "{concept.name}"'
    given = {concept.index(value): _number(p, where) for value, p in _mapping(probabilities, where).items()}
    values = tuple(given.get(index, 0.0) for index in range(len(concept.values)))
    _check_sum(values, f"{where} (values {', '.join(concept.values)})")
    return values


def _component(part: Mapping, concepts: Sequence[Concept]) -> Component:
    """Read one {"weight": ..., "set": {...}} of a mixture."""
    part = _mapping(part, "a component of the mixture", ("weight", "set"))
    if "weight" not in part:
        raise UserError("a component of the mixture has no weight: write for example {weight: 0.5, set: {}}.")
    fixed = _mapping(part.get("set") or {}, "the set of a component of the mixture")
    indices = {name: find_concept(concepts, name).index(value) for name, value in fixed.items()}
    return Component(_number(part["weight"], "the weights of the mixture"), indices)


def _mapping(value: object, what: str, keys: Sequence[str] | None = None) -> Mapping:
    """Return the value if it is a mapping (with no other keys than these), else say what should stand there."""
    if not isinstance(value, Mapping):
        raise UserError(f"{what} must be a mapping of names, not {value!r}.")
    for key in value:
        if keys is not None and key not in keys:
            raise UserError(unknown(f"{what} has no option", key, keys))
    return value


def _number(value: object, where: str) -> float:
    """Return a probability as a float, or say that it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise UserError(f"{where} must be numbers from 0 to 1, not {value!r}.")
    return float(value)


def _check_sum(probabilities: Sequence[float], what: str) -> None:
    """Say so if probabilities do not sum to 1."""
    total = math.fsum(probabilities)
    if abs(total - 1) > TOLERANCE:
        raise UserError(f"{what} sum to {total:.6g}; they must sum to 1.")


def _invert(probabilities: Sequence[float], number: float) -> int:
    """Return the index whose share of [0, 1) holds the number; never one of probability 0."""
    positive = [index for index, probability in enumerate(probabilities) if probability > 0]
    reached = 0.0
    for index in positive:
        reached += probabilities[index]
        if number < reached:
            return index
    # Rounding can leave the sum a little below 1.
    return positive[-1]
