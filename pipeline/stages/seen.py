"""What concepts do to a classifier, and what readers see of them: the two sides that explanations are held against."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.tables import read_table


class Truth(NamedTuple):
    """What the interventions on the images of a classifier do: flips, effect (N, C); NaN where that is unknown."""

    image_ids: list[str]
    concepts: list[str]
    flips: np.ndarray
    effect: np.ndarray


def read_truth(scores: Path, classifier: str) -> Truth:
    """What the interventions did to a classifier, from the scores of the stage `score`."""
    columns = ["image_id", "classifier", "metric", "concept", "value", "status"]
    found: dict[tuple[str, str, str], float] = {
        (row["metric"], row["image_id"], row["concept"]): row["value"]
        for row in read_table(scores, "scores", columns).to_pylist()
        if row["classifier"] == classifier and row["metric"] in ("flips", "effect") and row["status"] == "ok"
    }
    image_ids = list(dict.fromkeys(image_id for _, image_id, _ in found))
    concepts = list(dict.fromkeys(concept for _, _, concept in found))

    def matrix(metric: str) -> np.ndarray:
        rows = [[found.get((metric, image_id, concept), np.nan) for concept in concepts] for image_id in image_ids]
        return np.array(rows, np.float64).reshape(len(image_ids), len(concepts))

    return Truth(image_ids, concepts, matrix("flips"), matrix("effect"))


def read_views(
    predictions: list[Path], readers: Sequence[str], *sources: str
) -> dict[tuple[str, str, str], np.ndarray]:
    """Logits (K,) by reader, concept and row, of rows of these tables."""
    columns = ["classifier", "source", "source_row_id", "task", "logits", "status"]
    return {
        (row["classifier"], row["task"], row["source_row_id"]): np.array(row["logits"])
        for row in read_table(predictions, "predictions", columns).to_pylist()
        if row["classifier"] in readers and row["source"] in sources and row["status"] == "ok"
    }
