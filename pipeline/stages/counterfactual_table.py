"""The rows of a table of counterfactuals, whichever stage makes them."""

from typing import Any

import numpy as np

from pipeline.tables import row_id

Row = dict[str, Any]


def room(limit: int | None, before: int) -> int | None:
    """How many images of the part a method explains at most, of those in all parts; None for all."""
    return None if limit is None else max(0, limit - before)


def table_row(name: str, classifier: str, row: Row, kept: Row) -> Row:
    named = row_id(classifier, name, row["image_id"], row["target"], row["sample"])
    written = {
        **kept,
        "row_id": named,
        "image_id": row["image_id"],
        "classifier": classifier,
        "method": name,
        "target": row["target"],
        "sample": row["sample"],
    }
    if kept["status"] != "ok":
        return written
    logits = np.array(kept["logits"], np.float64)
    shares = np.exp(logits - logits.max())
    return {
        **written,
        "image": {**kept["image"], "path": f"{named}.png"},
        "predicted": int(logits.argmax()),
        "confidence_target": float(shares[row["target"]] / shares.sum()),
        "flipped": int(logits.argmax()) == row["target"],
    }
