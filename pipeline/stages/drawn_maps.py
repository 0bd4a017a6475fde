"""The maps of a classifier and their images, as the stages read them that hold one against the other."""

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.tables import read_table, unpack

Row = dict[str, Any]


def read_maps(paths: list[Path], classifier: str) -> dict[str, dict[str, tuple[np.ndarray, int]]]:
    """Map and target by method and image, in the order of the table, of the images that every method explains.

    Empty where no method explains the classifier.
    """
    columns = ["image_id", "classifier", "method", "target", "map", "shape", "status"]
    maps: dict[str, dict[str, tuple[np.ndarray, int]]] = {}
    for row in read_table(paths, "saliency", columns).to_pylist():
        if row["classifier"] == classifier and row["status"] == "ok":
            drawn = unpack("saliency", "map", row["map"], row["shape"])
            maps.setdefault(row["method"], {})[row["image_id"]] = (drawn, row["target"])
    shared = set.intersection(*map(set, maps.values())) if maps else set()
    return {
        method: {image_id: of_method[image_id] for image_id in of_method if image_id in shared}
        for method, of_method in maps.items()
    }


def read_images(paths: list[Path], image_ids: list[str]) -> list[Row]:
    columns = ["row_id", "image", "parts", "boxes"]
    return read_table(paths, "images", columns, row_ids=image_ids).to_pylist()
