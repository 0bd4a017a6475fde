"""Score the directions of a classifier: which concepts move along each, and are they those that truly flip it?"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.metrics.concept_effects import concept_effects, effect_correlation
from pipeline.metrics.statistics import bootstrap_mean
from pipeline.stages.common import job, provenance, read_options
from pipeline.stages.seen import Truth, read_truth, read_views
from pipeline.tables import read_table, row_id, write_table

SOURCES = ("images", "counterfactuals")
NEVER_FLIPS = "the direction flips the classifier on fewer than two images that the reader saw"
NO_TRUTH = "fewer than three concepts have an effect that is known, or all have the same"

Row = dict[str, Any]
Views = Mapping[tuple[str, str, str], np.ndarray]


def score_directions(
    options: str,
    code: str,
    directions: list[Path],
    counterfactuals: list[Path],
    predictions: list[Path],
    truth: Path,
    classifier: str,
    scores: Path,
) -> None:
    """Write one row per direction, reader and concept, and one per direction and reader for all concepts together.

    counterfactuals: where images were led. predictions: of the readers, on images and on these. truth: the scores of
    interventions.
    """
    chosen = read_options("score_directions", options)
    inputs = {"directions": directions, "counterfactuals": counterfactuals, "predictions": predictions}
    told = provenance("score_directions", chosen, code, {**inputs, "scores": [truth]})
    with job("score_directions", chosen.study, scores) as account:
        with account.clock("tables"):
            found = read_table(directions, "directions", ["method", "target", "status"]).to_pylist()
            columns = ["row_id", "image_id", "method", "target", "flipped", "status"]
            led = read_table(counterfactuals, "counterfactuals", columns).to_pylist()
            known = read_truth(truth, classifier)
            views = {source: read_views(predictions, chosen.readers, source) for source in SOURCES}
        with account.clock("compute"):
            rows = [
                row
                for direction in found
                if direction["status"] == "ok"
                for reader in chosen.readers
                for row in direction_rows(classifier, direction, reader, led, known, views, chosen)
            ]
        write_table(scores, "scores", rows, told)
        account.rows = len(rows)


def direction_rows(
    classifier: str,
    direction: Row,
    reader: str,
    led: Sequence[Row],
    truth: Truth,
    views: Mapping[str, Views],
    options: Any,
) -> Iterator[Row]:
    """The effects of a direction on all concepts that a reader names, and how they agree with the truth."""
    method = direction["method"]
    own = [row for row in led if row["method"] == method and row["flipped"]]
    images, made = (views[source] for source in SOURCES)
    concepts = list(dict.fromkeys(concept for name, concept, _ in images if name == reader))
    effects = {}
    for concept in concepts:
        row = score_row("concept_effect", classifier, method, reader, concept)
        seen = [each for each in own if (reader, concept, each["row_id"]) in made]
        if len(seen) < 2:
            yield {**row, "status": "unscored", "reason": NEVER_FLIPS}
            continue
        before = np.stack([images[reader, concept, each["image_id"]] for each in seen])
        after = np.stack([made[reader, concept, each["row_id"]] for each in seen])
        everywhere = np.stack([said for (name, task, _), said in images.items() if (name, task) == (reader, concept)])
        signs = np.array([1 if each["target"] == direction["target"] else -1 for each in seen])
        moved = concept_effects(before, after, signs, everywhere)
        sampling = {"seed": options.seed, "samples": options.bootstrap, "confidence": options.confidence}
        estimate = bootstrap_mean(moved, purpose=row["row_id"], **sampling)
        effects[concept] = estimate.value
        numbers = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high, "n": estimate.n}
        yield {**row, "status": "ok", **numbers}
    causal = dict(zip(truth.concepts, np.nanmean(truth.effect, 0), strict=True)) if truth.concepts else {}
    shared = [concept for concept in effects if concept in causal]
    value = effect_correlation(
        np.array([effects[concept] for concept in shared]), np.array([causal[concept] for concept in shared])
    )
    row = score_row("effect_correlation", classifier, method, reader, None)
    if np.isnan(value):
        yield {**row, "status": "unscored", "reason": NO_TRUTH if effects else NEVER_FLIPS}
    else:
        yield {**row, "status": "ok", "value": value, "n": len(shared)}


def score_row(metric: str, classifier: str, method: str, reader: str, concept: str | None) -> Row:
    """What a score is about; without its value."""
    return {
        "row_id": row_id(metric, classifier, method, None, reader, concept),
        "family": "directions",
        "classifier": classifier,
        "method": method,
        "metric": metric,
        "judge": reader,
        "concept": concept,
    }
