"""Target classes that a person wrote down. Imports nothing heavy, so that a study can be checked before it runs."""

from collections.abc import Mapping, Sequence

from pipeline.errors import UserError, nearest

ANY = "*"
"""As a source: whatever class is explained."""


def targets_by_class(
    pairs: Mapping[str, Sequence[str]], classes: Sequence[str], where: str, *, to_itself: bool = False
) -> dict[int, tuple[int, ...]]:
    """Targets by class, as indices into `classes`, of pairs that a person wrote down.

    pairs: targets by source, in names of classes, or their numbers from 0 written as text. where: what they stand in,
    as messages begin. A pair of a class with itself is left out unless `to_itself`; so are pairs given twice.
    Raises UserError for what is no class.
    """
    if ANY in pairs:
        pairs = dict.fromkeys(classes, pairs[ANY])
    found: dict[int, tuple[int, ...]] = {}
    for source, targets in pairs.items():
        index = class_number(source, classes, where)
        numbers = [class_number(target, classes, where) for target in targets]
        others = (each for each in numbers if to_itself or each != index)
        found[index] = tuple(dict.fromkeys([*found.get(index, ()), *others]))
    return found


def class_number(name: str, classes: Sequence[str], where: str) -> int:
    """The index of the class of that name, or that the name is if it is none: a number below the count of classes."""
    if name in classes:
        return list(classes).index(name)
    if name.isdecimal() and int(name) < len(classes):
        return int(name)
    close = nearest(name, classes)
    hint = f"did you mean '{close}'?" if close else f"there are {', '.join(classes[:6])}{' ...' * (len(classes) > 6)}."
    raise UserError(f"{where}: '{name}' is none of the {len(classes)} classes; {hint}")
