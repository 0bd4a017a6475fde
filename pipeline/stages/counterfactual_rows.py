"""What is known of the counterfactuals of one classifier, and of their controls, before anything is measured."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.controls import NEAREST_REAL, UNCHANGED, nearest_real
from pipeline.stages.judges import oracles_of, task_of
from pipeline.tables import iterate_table, read_provenance, read_table, row_id

NO_REAL = "no other image of the study is decided for the target"

Logits = Mapping[str, np.ndarray]  # of a network and task: row -> (K,)


@dataclass(frozen=True)
class Made:
    """A counterfactual, or an image that stands in its place as a control.

    table, shown: where its picture is. logits: the classifier's (K,). status, reason: as in the tables.
    """

    row_id: str
    image_id: str
    method: str
    target: int
    sample: int
    table: str
    shown: str
    logits: np.ndarray | None
    network_evaluations: int | None
    status: str = "ok"
    reason: str | None = None


@dataclass(frozen=True)
class Evidence:
    """What the networks say about one classifier's images, and what the interventions on them do.

    tasks: of every network, with its classes. answers: (network, task) -> logits by row, of images, counterfactuals
    and, of the classifier, interventions. explained: the class of each image that is explained. labels: its label as a
    class of the classifier, where it has one. changes: image -> concept -> rows of the interventions.
    """

    classifier: str
    tasks: Mapping[str, Mapping[str, Sequence[str]]]
    oracles: Sequence[str]
    readers: Sequence[str]
    answers: Mapping[tuple[str, str], Logits]
    explained: Mapping[str, int]
    labels: Mapping[str, int | None]
    changes: Mapping[str, Mapping[str, Sequence[str]]]

    @property
    def task(self) -> str:
        return task_of(self.classifier, self.tasks)

    @property
    def classes(self) -> list[str]:
        return list(self.tasks[self.classifier][self.task])

    @property
    def own(self) -> Logits:
        """The classifier's logits of images and interventions."""
        return self.answers[self.classifier, self.task]

    @cached_property
    def concepts(self) -> list[str]:
        """The concepts that were changed one at a time."""
        return list(dict.fromkeys(concept for concepts in self.changes.values() for concept in concepts))

    def of_oracle(self, oracle: str, rows: Iterable[str]) -> np.ndarray:
        """The logits (N, K) of an oracle, in the order of the classifier's classes."""
        order = [self.tasks[oracle][self.task].index(name) for name in self.classes]
        return stacked(self.answers.get((oracle, self.task), {}), rows, len(self.classes))[:, order]

    def of_reader(self, reader: str, concept: str, rows: Iterable[str]) -> np.ndarray:
        """The logits (N, K) of a reader about one of its concepts."""
        return stacked(self.answers.get((reader, concept), {}), rows, len(self.tasks[reader][concept]))

    def led_to(self, image_id: str) -> dict[str, set[int]] | None:
        """The other classes that changing each concept alone makes the classifier decide for; None where unknown."""
        concepts = self.changes.get(image_id)
        if not concepts or any(row not in self.own for rows in concepts.values() for row in rows):
            return None
        before = int(self.own[image_id].argmax())
        return {concept: {int(self.own[row].argmax()) for row in rows} - {before} for concept, rows in concepts.items()}


def stacked(answers: Logits, rows: Iterable[str], classes: int) -> np.ndarray:
    """Logits (N, K) of rows; NaN where a network has no answer."""
    nothing = np.full(classes, np.nan)
    return np.stack([answers.get(row, nothing) for row in rows])


def read_evidence(
    classifier: str, options: Any, predictions: Sequence[Path], judged: Sequence[Path], interventions: Any
) -> Evidence:
    """Everything about a classifier's counterfactuals that stands in the tables.

    predictions: on images and interventions, judged: on counterfactuals. options: roles and explained_class.
    """
    tasks, roles = read_provenance(predictions[0])["tasks"], options.roles
    task = task_of(classifier, tasks)
    oracles, readers = oracles_of(classifier, tasks, roles), [name for name in roles["readers"] if name != classifier]
    answers: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    explained: dict[str, int] = {}
    labels: dict[str, int | None] = {}
    columns = ["classifier", "task", "source", "source_row_id", "status", "logits", "predicted", "label"]
    for batch in iterate_table([*predictions, *judged], "predictions", columns):
        for row in batch.to_pylist():
            name, source = row["classifier"], row["source"]
            wanted = name == classifier or (name in (*oracles, *readers) and source != "interventions")
            if row["status"] != "ok" or not wanted:
                continue
            answers.setdefault((name, row["task"]), {})[row["source_row_id"]] = np.array(row["logits"])
            if (name, row["task"], source) == (classifier, task, "images"):
                labels[row["source_row_id"]] = row["label"]
                explained[row["source_row_id"]] = row[options.explained_class]
    changes = read_changes(interventions or [])
    return Evidence(classifier, tasks, oracles, readers, answers, explained, labels, changes)


def read_changes(interventions: Sequence[Path]) -> dict[str, dict[str, list[str]]]:
    """Rows of the interventions by image and concept."""
    found: dict[str, dict[str, list[str]]] = {}
    if interventions:
        for row in read_table(interventions, "interventions", ["row_id", "image_id", "concept"]).to_pylist():
            found.setdefault(row["image_id"], {}).setdefault(row["concept"], []).append(row["row_id"])
    return found


def read_made(counterfactuals: Sequence[Path], classifier: str) -> dict[str, list[Made]]:
    """The counterfactuals of a classifier by method, in the order of the table; failed ones too."""
    columns = ["row_id", "image_id", "classifier", "method", "status", "reason", "target", "sample", "logits"]
    made: dict[str, list[Made]] = {}
    for row in read_table(counterfactuals, "counterfactuals", [*columns, "network_evaluations"]).to_pylist():
        if row.pop("classifier") == classifier:
            logits = None if row["logits"] is None else np.array(row.pop("logits"))
            known = {key: value for key, value in row.items() if key != "logits"}
            made.setdefault(row["method"], []).append(
                Made(**known, logits=logits, table="counterfactuals", shown=row["row_id"])
            )
    return made


def add_controls(
    made: Mapping[str, list[Made]], evidence: Evidence, image_ids: Sequence[str], features: np.ndarray
) -> dict[str, list[Made]]:
    """The controls of all pairs of image and target that a method was asked for.

    features: of all images that can be shown (M, D). One control leaves the image as it is; the other shows the image
    of the study nearest to it of all that the classifier decides for the target.
    """
    pairs = dict.fromkeys((row.image_id, row.target) for rows in made.values() for row in rows)
    unchanged = [as_control(evidence, UNCHANGED, *pair, shown=pair[0]) for pair in pairs if pair[0] in evidence.own]
    shown = [image_id for image_id in image_ids if image_id in evidence.own]
    places = {image_id: place for place, image_id in enumerate(image_ids)}
    real = features[[places[image_id] for image_id in shown]]
    decided = np.array([int(evidence.own[image_id].argmax()) for image_id in shown])
    nearest = []
    for row in unchanged:
        others = np.array([image_id != row.image_id for image_id in shown])
        classes = np.where(others, decided, -1)
        if not (classes == row.target).any():
            nothing = replace(as_control(evidence, NEAREST_REAL, row.image_id, row.target, shown=row.image_id))
            nearest.append(replace(nothing, status="unscored", reason=NO_REAL, logits=None))
            continue
        own = features[[places[row.image_id]]]
        (found,) = nearest_real(own, real, classes, np.array([row.target]))
        nearest.append(as_control(evidence, NEAREST_REAL, row.image_id, row.target, shown=shown[found]))
    return {UNCHANGED: unchanged, NEAREST_REAL: nearest}


def as_control(evidence: Evidence, method: str, image_id: str, target: int, shown: str) -> Made:
    """An image of the study in the place of a counterfactual."""
    name = row_id(evidence.classifier, method, image_id, target)
    return Made(name, image_id, method, target, 0, "images", shown, evidence.own[shown], 0)


def in_chunks(rows: Sequence[Made], size: int) -> Iterator[Sequence[Made]]:
    """The rows in pieces, so that only the pictures of one are in memory."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
