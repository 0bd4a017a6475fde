"""The bench: what every explanation says of every concept, beside what changing that concept truly does."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.classifiers.description import read_description
from pipeline.images import decode_mask
from pipeline.metrics.accusations import (
    concept_change,
    label_association,
    part_density,
)
from pipeline.metrics.control_maps import contenders, other_images
from pipeline.stages.common import job, provenance, read_options
from pipeline.stages.counterfactual_rows import read_made
from pipeline.stages.drawn_maps import read_images, read_maps
from pipeline.stages.seen import Truth, read_truth, read_views
from pipeline.stages.training_data import task_labels
from pipeline.tables import TableWriter, row_id
from pipeline.worlds import draw_scene, load_world
from pipeline.worlds.prior import Prior

ASSOCIATION, EFFECT = "concept and label in the training data", "the effect itself"
OTHER_CHANGE = "another image's counterfactual"
DRAWN = 2000  # scenes by which a concept is held against the label
NOT_SHOWN = "the image shows no pixel of the concept, or the map has no mass"
NO_ANSWER = "the reader gave no answer about the image or its counterfactual"
NO_RECIPE = "how the classifier was trained is not known"

Row = dict[str, Any]


class Accusation(NamedTuple):
    """What one explanation, or control, says of each concept of each image: scores (N, C), NaN where nothing."""

    family: str
    method: str | None
    control: str | None
    judge: str | None
    scores: np.ndarray
    silent: str


def accuse(
    options: str,
    code: str,
    images: list[Path],
    predictions: list[Path],
    truth: Path,
    accusations: Path,
    saliency: list[Path] | None = None,
    counterfactuals: list[Path] | None = None,
) -> None:
    """Write what each explanation says of each concept of each image.

    predictions: of the readers, on images and counterfactuals. truth: the scores of interventions.
    """
    chosen = read_options("accuse", options)
    inputs = {"images": images, "predictions": predictions, "scores": [truth]}
    inputs |= {"saliency": saliency or [], "counterfactuals": counterfactuals or []}
    told = provenance("accuse", chosen, code, inputs)
    with job("accuse", chosen.study, accusations) as account:
        with account.clock("tables"):
            known = {name: read_truth(truth, name) for name in chosen.classifiers}
            views = read_views(predictions, chosen.readers, "images", "counterfactuals")
        with TableWriter(accusations, "accusations", told) as table:
            for name, truth_of in known.items():
                with account.clock("compute"):
                    said = accusations_of(name, truth_of, images, saliency or [], counterfactuals or [], views, chosen)
                for each in said:
                    table.extend(list(accusation_rows(name, each, truth_of)))
            account.rows = table.rows


def accusations_of(
    classifier: str,
    truth: Truth,
    images: list[Path],
    saliency: list[Path],
    counterfactuals: list[Path],
    views: Mapping[tuple[str, str, str], np.ndarray],
    options: Any,
) -> list[Accusation]:
    """All that is said about a classifier, by explanations, by controls, and by the ceiling."""
    said = list(by_maps(classifier, truth, images, saliency, options.seed))
    for reader in options.readers:
        said += by_counterfactuals(classifier, truth, counterfactuals, views, reader)
    file = options.files.get(classifier)
    associated = associations(classifier, Path(file), truth.concepts) if file else None
    if associated is not None:
        everywhere = np.broadcast_to(associated, truth.flips.shape)
        said.append(Accusation("accusations", None, ASSOCIATION, None, everywhere, NO_RECIPE))
    said.append(Accusation("accusations", None, EFFECT, None, truth.effect, NO_RECIPE))
    return said


def by_maps(classifier: str, truth: Truth, images: list[Path], saliency: list[Path], seed: int) -> Iterator[Accusation]:
    """What maps say: how densely they mark the part of each concept."""
    maps = read_maps(saliency, classifier) if saliency else {}
    places = {image_id: place for place, image_id in enumerate(truth.image_ids)}
    image_ids = [image_id for image_id in next(iter(maps.values()), {}) if image_id in places]
    if not image_ids:
        return
    rows = read_images(images, image_ids)
    shown = [{part["concept"]: decode_mask(part["mask"]) for part in row["parts"] or []} for row in rows]
    size = next(iter(shown[0].values())).shape
    hidden = np.zeros(size, bool)
    parts = [np.stack([of_row.get(concept, hidden) for of_row in shown]) for concept in truth.concepts]
    drawn = ((method, np.stack([own[image_id][0] for image_id in image_ids])) for method, own in maps.items())
    for method, control, made in contenders(drawn, image_ids, None, size, seed):
        scores = np.full(truth.flips.shape, np.nan)
        for column, part in enumerate(parts):
            density = part_density(made, part)
            scores[[places[image_id] for image_id in image_ids], column] = np.where(
                density.scored, density.values, np.nan
            )
        yield Accusation("saliency", method, control, None, scores, NOT_SHOWN)


def by_counterfactuals(
    classifier: str,
    truth: Truth,
    counterfactuals: list[Path],
    views: Mapping[tuple[str, str, str], np.ndarray],
    reader: str,
) -> Iterator[Accusation]:
    """What counterfactuals say: how much a reader sees each concept change, on average over targets and samples."""
    places = {image_id: place for place, image_id in enumerate(truth.image_ids)}
    for method, made in (read_made(counterfactuals, classifier) if counterfactuals else {}).items():
        rows = [row for row in made if row.status == "ok" and row.image_id in places]
        if not rows:
            continue
        scores = np.full(truth.flips.shape, np.nan)
        for column, concept in enumerate(truth.concepts):
            changes: dict[int, list[float]] = {}
            for row in rows:
                before, after = (views.get((reader, concept, shown)) for shown in (row.image_id, row.row_id))
                if before is not None and after is not None:
                    (value,) = concept_change(before[None], after[None]).values
                    changes.setdefault(places[row.image_id], []).append(float(value))
            for place, values in changes.items():
                scores[place, column] = np.mean(values)
        yield Accusation("counterfactuals", method, None, reader, scores, NO_ANSWER)
        explained = sorted({places[row.image_id] for row in rows})
        if len(explained) > 1:
            others = np.full(scores.shape, np.nan)
            following = other_images([truth.image_ids[place] for place in explained])
            others[explained] = scores[[explained[place] for place in following]]
            yield Accusation("counterfactuals", method, OTHER_CHANGE, reader, others, NO_ANSWER)


def associations(classifier: str, file: Path, concepts: Sequence[str]) -> np.ndarray | None:
    """How strongly each concept (C,) goes with the label that a classifier was taught; None if that is not known.

    Scenes are drawn as its training images were, and looked at by nobody.
    """
    training = read_description(file, classifier)["metadata"].get("training") or {}
    name = training.get("dataset", {}).get("world")
    if name is None:
        return None
    world = load_world(name)
    prior = Prior.from_options(training["dataset"].get("prior"), world.concepts)
    ids = (f"{world.name}-train-{index:06d}" for index in range(DRAWN))
    scenes = tuple(draw_scene(world, training["seed"], image_id, prior) for image_id in ids)
    labels = task_labels(world, training["tasks"][0], scenes, training.get("relabel"))
    return np.array([label_association([scene.concepts[concept] for scene in scenes], labels) for concept in concepts])


def accusation_rows(classifier: str, said: Accusation, truth: Truth) -> Iterator[Row]:
    """The rows of the table: one for each image and concept whose truth is known."""
    for place, image_id in enumerate(truth.image_ids):
        for column, concept in enumerate(truth.concepts):
            score, flips = said.scores[place, column], truth.flips[place, column]
            if np.isnan(flips) or not np.isfinite(said.scores[place]).any():
                continue
            known = np.isfinite(score)
            yield {
                "row_id": row_id(classifier, said.family, said.method, said.control, said.judge, image_id, concept),
                "status": "ok" if known else "unscored",
                "reason": None if known else said.silent,
                "image_id": image_id,
                "classifier": classifier,
                "family": said.family,
                "method": said.method,
                "control": said.control,
                "judge": said.judge,
                "concept": concept,
                "score": float(score) if known else None,
                "flips": bool(flips),
                "effect": float(truth.effect[place, column]),
            }
