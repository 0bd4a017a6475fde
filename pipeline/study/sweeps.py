"""Sweeps: one entry of a study for each value that a method varies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pipeline.errors import UserError
from pipeline.study.words import plain


def expand_sweeps(methods: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Make a named entry of each value that a method varies: `fido: {vary: {masks: [2, 4]}}` is fido-masks-2 and -4.

    Of a mapping, the words stand in the names: `dvce: {vary: {cone: {cone: {...}, free: null}}}` is dvce-cone and
    dvce-free. Entries that are not what they should be stay as they are, for whoever checks them. where: of the
    methods, for the UserError where two entries would have one name.
    """
    entries: list[tuple[str, Any]] = []
    for name, method in methods.items():
        varied = method.get("vary") if isinstance(method, dict) else None
        if not isinstance(varied, dict) or not all(isinstance(each, list | dict) and each for each in varied.values()):
            entries.append((name, method))
            continue
        fixed = {key: value for key, value in method.items() if key != "vary"}
        for chosen in product(*(list(named_values(key, values)) for key, values in varied.items())):
            options = {key: value for key, (_, value) in zip(varied, chosen, strict=True)}
            entries.append(("-".join([str(name), *(word for word, _ in chosen)]), {**fixed, **options}))
    counted = Counter(name for name, _ in entries)
    if twice := next((name for name, number in counted.items() if number > 1), None):
        raise UserError(f"{where}: two methods would be called '{twice}'; give one another name, or other values.")
    return dict(entries)


def named_values(key: str, values: list[Any] | dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The values of an option that varies, each with what stands for it in the name of its entry."""
    if isinstance(values, dict):
        yield from ((str(word), value) for word, value in values.items())
    else:
        yield from ((f"{key}-{plain(value)}", value) for value in values)
