"""Score what explanations say of concepts: does it tell those that flip a classifier, does it find what was planted?"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.metrics.accusations import accusation_auroc, accusing_threshold
from pipeline.metrics.statistics import Estimate, bootstrap_statistic, share
from pipeline.stages.common import job, provenance, read_options
from pipeline.tables import read_table, row_id, write_table

NAMES = ("family", "method", "control", "judge")
"""What tells one explanation or control from others about the same classifier."""
ONE_KIND = "all concepts flip the classifier, or none does"
NO_THRESHOLD = "nothing is said on the images that the threshold is chosen by, or all of it of concepts of one kind"

Row = dict[str, Any]
Named = tuple[str | None, ...]


class Said(NamedTuple):
    """What one explanation says of the concepts of images: scores and flips (N, C), NaN where nothing is said."""

    image_ids: list[str]
    concepts: list[str]
    scores: np.ndarray
    flips: np.ndarray


def score_accusations(options: str, code: str, accusations: Path, scores: Path) -> None:
    """Write one row per classifier, explanation and question, each with its interval over images."""
    chosen = read_options("score_accusations", options)
    told = provenance("score_accusations", chosen, code, {"accusations": [accusations]})
    with job("score_accusations", chosen.study, scores) as account:
        with account.clock("tables"):
            said = read_accusations(accusations)
        with account.clock("compute"):
            rows = list(score_rows(said, chosen))
        with account.clock("tables"):
            write_table(scores, "scores", rows, told)
        account.rows = len(rows)


def read_accusations(path: Path) -> dict[str, dict[Named, Said]]:
    """What is said about each classifier, by what says it."""
    columns = ["image_id", "classifier", *NAMES, "concept", "score", "flips"]
    found: dict[tuple[str, Named], dict[tuple[str, str], Row]] = {}
    for row in read_table([path], "accusations", columns).to_pylist():
        about = row["classifier"], tuple(row[name] for name in NAMES)
        found.setdefault(about, {})[row["image_id"], row["concept"]] = row
    said: dict[str, dict[Named, Said]] = {}
    for (classifier, named), rows in found.items():
        said.setdefault(classifier, {})[named] = as_matrices(rows)
    return said


def as_matrices(rows: Mapping[tuple[str, str], Row]) -> Said:
    """Rows by image and concept as matrices, the images by name."""
    image_ids = sorted({image_id for image_id, _ in rows})
    concepts = list(dict.fromkeys(concept for _, concept in rows))
    scores = np.full((len(image_ids), len(concepts)), np.nan)
    flips = np.zeros(scores.shape, bool)
    for (image_id, concept), row in rows.items():
        place = image_ids.index(image_id), concepts.index(concept)
        scores[place] = np.nan if row["score"] is None else row["score"]
        flips[place] = row["flips"]
    return Said(image_ids, concepts, scores, flips)


def score_rows(said: Mapping[str, Mapping[Named, Said]], options: Any) -> Iterator[Row]:
    """How well what is said tells the concepts that flip each classifier, and whether it finds what was planted."""
    for classifier, of_classifier in said.items():
        for named, each in of_classifier.items():
            yield auroc_row(classifier, named, each, options)
    for planted, told in options.planted.items():
        for named, each in said.get(planted, {}).items():
            twin = said.get(told.clean, {}).get(named)
            if twin is not None:
                yield from planted_rows({planted: each, told.clean: twin}, named, told.concept, options)


def auroc_row(classifier: str, named: Named, said: Said, options: Any) -> Row:
    """Do the scores of all images and concepts tell those that flip the classifier? Intervals are over images."""
    row = scored_row("accusation_auroc", classifier, named, None)
    if np.isnan(accusation_auroc(said.scores, said.flips)):
        return {**row, "status": "unscored", "reason": ONE_KIND}
    estimate = bootstrap_statistic(
        lambda chosen: accusation_auroc(said.scores[chosen], said.flips[chosen]),
        len(said.image_ids),
        seed=options.seed,
        purpose=row["row_id"],
        samples=options.bootstrap,
        confidence=options.confidence,
    )
    return {**row, **numbers(estimate)}


def planted_rows(twins: Mapping[str, Said], named: Named, concept: str, options: Any) -> Iterator[Row]:
    """Is the planted concept accused where it flips the planted classifier, and not on its clean twin?

    twins: what is said of the two. The threshold is chosen on every third image, of both classifiers and all concepts;
    the shares are of the others.
    """
    choosing = {name: np.arange(len(said.image_ids)) % 3 == 0 for name, said in twins.items()}
    threshold = accusing_threshold(
        np.concatenate([said.scores[choosing[name]].ravel() for name, said in twins.items()]),
        np.concatenate([said.flips[choosing[name]].ravel() for name, said in twins.items()]),
    )
    for metric, (name, said), wanted in zip(
        ("shortcut_found", "false_alarm"), twins.items(), (True, False), strict=True
    ):
        row = scored_row(metric, name, named, concept)
        column = said.concepts.index(concept) if concept in said.concepts else None
        scores = np.zeros(0)
        if column is not None:
            scores = said.scores[~choosing[name] & (said.flips[:, column] == wanted), column]
            scores = scores[np.isfinite(scores)]
        if np.isnan(threshold) or not len(scores):
            yield {**row, "status": "unscored", "reason": NO_THRESHOLD}
        else:
            yield {**row, **numbers(share(scores > threshold, options.confidence))}


def scored_row(metric: str, classifier: str, named: Named, concept: str | None) -> Row:
    """What a score is about; without its value."""
    about = dict(zip(NAMES, named, strict=True))
    return {
        "row_id": row_id(metric, classifier, *named, concept),
        "classifier": classifier,
        "metric": metric,
        "concept": concept,
        **about,
        "family": "accusations",
    }


def numbers(estimate: Estimate) -> Row:
    """The value of a score about a set of images; ends of intervals that some resamplings lack are left out."""
    low, high = (None if end is None or np.isnan(end) else end for end in (estimate.low, estimate.high))
    return {"status": "ok", "value": estimate.value, "ci_low": low, "ci_high": high, "n": estimate.n}
