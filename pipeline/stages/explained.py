"""Which images of a part are explained, and which class of each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.errors import UserError
from pipeline.tables import read_table

COLUMNS = ["image_id", "classifier", "source", "status", "task", "logits", "predicted", "label"]

Row = dict[str, Any]


def decisions(predictions: Path | Sequence[Path], classifier: str, explained_class: str) -> dict[str, Row]:
    """What the classifier said of each image: task, logits, and the class that is explained (`explained`), or None.

    explained_class: "predicted" or "label"; an image may have no label.
    """
    rows = read_table(predictions, "predictions", COLUMNS).to_pylist()
    return {
        row["image_id"]: {**row, "explained": row[explained_class]}
        for row in rows
        if row["classifier"] == classifier and row["source"] == "images" and row["status"] == "ok"
    }


def explained_rows(images: Path, predictions: Path, classifier: str, explained_class: str, count: int) -> list[Row]:
    """The first `count` whole images of the part that the classifier decided about.

    Each with its pixels and parts, the classifier's logits, and the class that is explained, as an index. Raises
    UserError where the label is to be explained and an image has none.
    """
    decided = decisions(predictions, classifier, explained_class)
    rows = read_table(images, "images", ["image_id", "status", "content", "image", "parts"]).to_pylist()
    found = []
    for row in [row for row in rows if row["image_id"] in decided][:count]:
        decision = decided[row["image_id"]]
        if decision["explained"] is None:
            raise UserError(
                f"explained_class is label, and the image {row['image_id']} has no label of the task"
                f" {decision['task']} that {classifier} judges; set explained_class to predicted, or use a dataset with"
                " labels of that task."
            )
        found.append({**row, "logits": decision["logits"], "explained": decision["explained"]})
    return found
