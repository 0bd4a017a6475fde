"""Score every row: what a network gets right, and which interventions change a classifier's decision."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.metrics.truth import causal_effects, intervention_effect
from pipeline.stages.common import job, provenance, read_options
from pipeline.tables import TableWriter, read_provenance, read_table, row_id


def score(
    options: str,
    code: str,
    images: list[Path],
    predictions: list[Path],
    scores: Path,
    interventions: list[Path] | None = None,
) -> None:
    """Write one row per image, network and question that can be asked of a single image."""
    chosen = read_options("score", options)
    inputs = {"images": images, "interventions": interventions or [], "predictions": predictions}
    told = provenance("score", chosen, code, inputs)
    with job("score", chosen.study, scores) as account:
        with account.clock("tables"):
            judged = read_predictions(predictions)
            changes = read_interventions(interventions or [])
        classes = read_provenance(predictions[0])["tasks"]
        with account.clock("compute"):
            rows = list(correct_rows(judged))
            for classifier in chosen.classifiers:
                rows += truth_rows(classifier, classes[classifier], judged, changes)
        with account.clock("tables"), TableWriter(scores, "scores", told) as table:
            table.extend(rows)
            account.rows = table.rows


def read_predictions(paths: list[Path]) -> dict[tuple[str, str, str], dict]:
    """Predictions by (network, task, row)."""
    columns = ["image_id", "classifier", "source", "source_row_id", "task", "logits", "predicted", "label", "status"]
    rows = read_table(paths, "predictions", columns).to_pylist()
    return {(row["classifier"], row["task"], row["source_row_id"]): row for row in rows if row["status"] == "ok"}


def read_interventions(paths: list[Path]) -> dict[str, dict[str, dict[int, str]]]:
    """Rows of the interventions by image, concept and value; the image's own value leads to the image itself."""
    columns = ["row_id", "image_id", "concept", "value", "original"]
    found: dict[str, dict[str, dict[int, str]]] = {}
    for row in read_table(paths, "interventions", columns).to_pylist() if paths else []:
        values = found.setdefault(row["image_id"], {}).setdefault(row["concept"], {row["original"]: row["image_id"]})
        values[row["value"]] = row["row_id"]
    return found


def correct_rows(judged: dict[tuple[str, str, str], dict]) -> Iterator[dict]:
    """Whether each network gives an image its label; a reader is asked for every concept."""
    tasks = Counter(network for network, _ in {(network, task) for network, task, _ in judged})
    for (network, task, _), row in judged.items():
        if row["source"] == "images" and row["label"] is not None:
            concept = task if tasks[network] > 1 else None
            value = float(row["predicted"] == row["label"])
            yield score_row("correct", network, row["image_id"], value, concept=concept)


def truth_rows(classifier: str, heads: dict, judged: dict, changes: dict) -> Iterator[dict]:
    """What each concept does to the classifier on each image."""
    (task, classes), *_ = heads.items()
    for image_id, concepts in changes.items():
        for concept, values in concepts.items():
            unjudged = [source for source in values.values() if (classifier, task, source) not in judged]
            if unjudged:
                failed = score_row("flips", classifier, image_id, 0.0, concept=concept)
                yield {**failed, "status": "failed", "value": None, "reason": f"{unjudged[0]} has no prediction"}
                continue
            before = np.array(judged[classifier, task, image_id]["logits"])
            after = {value: np.array(judged[classifier, task, source]["logits"]) for value, source in values.items()}
            others = np.stack([logits for value, logits in after.items() if values[value] != image_id])
            effect = intervention_effect(before, others)
            yield score_row("flips", classifier, image_id, float(effect.flips), concept=concept)
            yield score_row("effect", classifier, image_id, effect.effect, concept=concept)
            if len(after) == 2:
                for name, change in zip(classes, causal_effects(after[0], after[1]), strict=True):
                    yield score_row(
                        "causal_effect", classifier, image_id, float(change), concept=concept, target_class=name
                    )


def score_row(metric: str, network: str, image_id: str, value: float, **names: str | None) -> dict:
    return {
        "row_id": row_id(metric, network, *names.values(), image_id),
        "status": "ok",
        "family": "classifiers",
        "image_id": image_id,
        "classifier": network,
        "metric": metric,
        "value": value,
        **names,
    }
