"""Target classes that stand in tables: those that ship, by task, and a person's own."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline.errors import UserError, nearest
from pipeline.explain.pairs import ANY
from pipeline.methods.base import ChosenTargets, CounterfactualMethod

SHIPPED_TARGETS = Path("data/targets")
SOURCE, TARGET = "source_class", "target_class"
BY_TABLE = ("near", "far")
WORDS = ("published", "relation")
ANY_TASK = "*"

Pairs = dict[str, list[str]]


def pairs_of(name: str, method: CounterfactualMethod) -> Pairs | str:
    """The targets of each class as a person wrote them, or the word for how they are chosen.

    A fixed class is the target of ANY class. Raises UserError for a table that is missing or not one.
    """
    chosen = method.target
    if not isinstance(chosen, ChosenTargets):
        return chosen
    if chosen.fixed is not None:
        return {ANY: [chosen.fixed]}
    if chosen.pairs is not None:
        return {source: [target] if isinstance(target, str) else target for source, target in chosen.pairs.items()}
    return read_pairs(Path(chosen.table), chosen.where, f"counterfactuals.{name}.target")


def targets_of_image(name: str, method: CounterfactualMethod) -> int:
    """How many targets an image has, at most."""
    pairs = pairs_of(name, method)
    return max(map(len, pairs.values())) if isinstance(pairs, dict) else 1


def near_and_far(methods: Iterable[CounterfactualMethod]) -> dict[str, dict[str, Pairs]]:
    """The pairs of `near` and `far` by task, from the tables that ship; nothing where no method asks for them."""
    if not any(method.target in BY_TABLE for method in methods if isinstance(method.target, str)):
        return {}
    return {
        path.stem: {word: read_pairs(path, {"relation": word}, "counterfactuals") for word in BY_TABLE}
        for path in sorted(SHIPPED_TARGETS.glob("*.csv"))
    }


def relations(methods: Iterable[CounterfactualMethod]) -> dict[str, list[list[str]]]:
    """What the tables call the pairs of classes, as rows of source, target and word, by task; `*` is any task.

    near and far where a method asks for them; of a table of a person's own the column `published`, else `relation`.
    """
    methods = list(methods)
    found = {
        task: [[source, target, word] for word, pairs in words.items() for source in pairs for target in pairs[source]]
        for task, words in near_and_far(methods).items()
    }
    tables = dict.fromkeys(
        method.target.table for method in methods if isinstance(method.target, ChosenTargets) and method.target.table
    )
    named = []
    for table in tables:
        rows = read_rows(Path(table), "counterfactuals")
        column = next((each for each in WORDS if each in rows[0]), None) if rows else None
        named += [[row[SOURCE], row[TARGET], row[column]] for row in rows if column is not None]
    return {**found, ANY_TASK: named} if named else found


def read_pairs(path: Path, where: Mapping[str, str], owner: str) -> Pairs:
    """The targets of each source class in a .csv file, of the rows with these values in other columns.

    Raises UserError for a file that is missing or unreadable, a column that it lacks, and where no row is left.
    """
    rows = read_rows(path, owner)
    columns = list(rows[0]) if rows else []
    for column in (SOURCE, TARGET, *where):
        if column not in columns:
            close = nearest(column, [each for each in columns if each])
            hint = f"did you mean '{close}'?" if close else f"its columns are {', '.join(map(str, columns)) or 'none'}."
            raise UserError(f"{owner}: {path} has no column '{column}'; {hint}")
    pairs: Pairs = {}
    for row in rows:
        if all(row[column] == value for column, value in where.items()):
            pairs.setdefault(row[SOURCE], []).append(row[TARGET])
    if not pairs:
        said = " and ".join(f"{column} {value}" for column, value in where.items())
        raise UserError(f"{owner}: no row of {path} has {said}; correct `where`.")
    return pairs


def read_rows(path: Path, owner: str) -> list[dict[str, str]]:
    """The rows of a .csv file. Raises UserError for one that is missing or unreadable."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{owner}: there is no file {path}; give the path of a .csv file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{owner}: {path} cannot be read as a .csv file ({error}).") from None
