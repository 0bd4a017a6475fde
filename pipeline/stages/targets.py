"""Which counterfactuals a method is to make: of each image one for every target and sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError, listed
from pipeline.explain.pairs import targets_by_class
from pipeline.explain.targets import TARGETS
from pipeline.stages.explained import decisions

OVER_ALL_IMAGES = "most-confused"

Row = dict[str, Any]


def wanted_rows(
    name: str, options: Any, classifier: Classifier, rows: Sequence[Row], predictions: Sequence[Path]
) -> list[Row]:
    """The rows that the method called `name` is to make: those of its images, each with a `target` and a `sample`.

    options: of the stage. rows: the images. predictions: those of the whole study, for targets that follow from all of
    its images. An image has no row for the class that it is explained as, unless a person keeps such pairs.
    Raises UserError for a target that is no class, and for a class without one.
    """
    asked = options.wanted[name]
    choice = asked.targets
    if not rows:
        return []
    if choice == OVER_ALL_IMAGES:
        everything = list(decisions(predictions, classifier.name, options.explained_class).values())
        targets = likeliest_of_class(everything, rows)
    elif isinstance(choice, str) and choice in TARGETS:
        targets = [(target,) for target in apply(choice, rows)]
    else:
        where = f"counterfactuals.{name}.target"
        targets = from_pairs(where, choice, options, classifier, rows, to_itself=asked.to_itself)
    return [
        {**row, "target": target, "sample": sample}
        for row, of_row in zip(rows, targets, strict=True)
        for target in of_row
        for sample in range(asked.samples)
    ]


def apply(word: str, rows: Sequence[Row]) -> list[int]:
    """The targets that follow from what is explained and the logits."""
    explained = torch.tensor([row["explained"] for row in rows])
    return TARGETS[word](explained, torch.tensor([row["logits"] for row in rows])).tolist()


def likeliest_of_class(everything: Sequence[Row], rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """The class that all images of the same class are likeliest taken for."""
    known = [row for row in everything if row["explained"] is not None]
    by_class = dict(zip((row["explained"] for row in known), apply(OVER_ALL_IMAGES, known), strict=True))
    return [(by_class[row["explained"]],) for row in rows]


def from_pairs(
    where: str,
    choice: str | Mapping[str, list[str]],
    options: Any,
    classifier: Classifier,
    rows: Sequence[Row],
    *,
    to_itself: bool,
) -> list[tuple[int, ...]]:
    """The targets that a table, or the study itself, names for the class that is explained."""
    pairs = choice
    if isinstance(choice, str):
        tables = options.near_and_far
        if classifier.task not in tables:
            raise UserError(
                f"{where}: {choice} classes are known of the tasks {listed(tables)}, and {classifier.name} judges"
                f" {classifier.task}; name a table of your own, such as {{table: targets.csv}}."
            )
        pairs = tables[classifier.task][choice]
    targets = targets_by_class(pairs, classifier.classes, where, to_itself=to_itself)
    for row in rows:
        if row["explained"] not in targets:
            missing = classifier.classes[row["explained"]]
            raise UserError(f"{where}: the class '{missing}' has no target, and {row['image_id']} is of it; add one.")
    return [targets[row["explained"]] for row in rows]
