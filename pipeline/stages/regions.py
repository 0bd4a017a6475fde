"""Where the images of a confined method may change: by masks of their parts, by a map, or as a person drew it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.decode import read_mask
from pipeline.datasets.transform import Transform, transform_mask
from pipeline.errors import UserError, nearest
from pipeline.images import content, decode_mask, decode_png
from pipeline.methods.base import CounterfactualMethod
from pipeline.metrics.truth_maps import at_size
from pipeline.tables import read_table, unpack

MAP_COLUMNS = ["image_id", "classifier", "method", "status", "reason", "map", "shape"]

Row = dict[str, Any]
Maps = Mapping[tuple[str, str], Row]


def read_maps(saliency: Sequence[Path], classifier: str) -> Maps:
    """The rows of the maps of a classifier, by the entry that made them and the image."""
    rows = read_table(saliency, "saliency", MAP_COLUMNS).to_pylist() if saliency else []
    return {(row["method"], row["image_id"]): row for row in rows if row["classifier"] == classifier}


def confined(where: str, method: CounterfactualMethod, rows: Sequence[Row], maps: Maps) -> list[Row]:
    """The rows, each with `region`, the pixels (H, W) bool of its image that may change.

    What is made of an image follows from them as it does from its pixels, so `content`, which is part of the key of a
    row, says both. where: the place of the method in the study. Raises UserError where a region is not known.
    """
    images = {row["image_id"]: row for row in rows}
    regions = {image_id: region_of(where, method, row, maps) for image_id, row in images.items()}
    contents = {name: f"{images[name]['content']} {content(regions[name].astype(np.uint8))}" for name in images}
    return [{**row, "region": regions[row["image_id"]], "content": contents[row["image_id"]]} for row in rows]


def region_of(where: str, method: CounterfactualMethod, row: Row, maps: Maps) -> np.ndarray:
    size = decode_png(row["image"]["bytes"]).shape[:2]
    region, chosen = np.ones(size, bool), method.region
    if chosen is not None and chosen.parts is not None:
        region = of_parts(f"{where}.region.parts", chosen.parts, row)
    elif chosen is not None and chosen.saliency is not None:
        region = of_map(
            f"{where}.region.saliency", maps.get((chosen.saliency, row["image_id"])), row, chosen.share, size
        )
    elif chosen is not None:
        region = as_drawn(f"{where}.region.drawn", chosen.drawn, row, size)
    return region & ~of_parts(f"{where}.immutable", method.immutable, row) if method.immutable else region


def of_parts(where: str, parts: Sequence[str], row: Row) -> np.ndarray:
    """The pixels of these parts together."""
    known = {part["concept"]: part["mask"] for part in row["parts"] or []}
    for part in parts:
        if part not in known:
            close = nearest(part, known)
            there = f"its parts are {', '.join(known)}." if known else "no part of it is known; leave it out."
            hint = f"did you mean {close!r}?" if close else there
            raise UserError(f"{where}: the image {row['image_id']} has no part '{part}'; {hint}")
    return np.logical_or.reduce([decode_mask(known[part]) for part in parts])


def of_map(where: str, found: Row | None, row: Row, share: float, size: tuple[int, int]) -> np.ndarray:
    """The share of the pixels that are highest in a map; of equal ones those that come first."""
    if found is None or found["status"] != "ok":
        reason = "none was made" if found is None else found["reason"]
        raise UserError(f"{where}: there is no map of the image {row['image_id']} ({reason}); name another entry.")
    values = at_size(unpack("saliency", "map", found["map"], found["shape"]), size).ravel()
    region = np.zeros(values.size, bool)
    region[np.argsort(-values, kind="stable")[: max(1, round(share * values.size))]] = True
    return region.reshape(size)


def as_drawn(where: str, path: str, row: Row, size: tuple[int, int]) -> np.ndarray:
    """The pixels that a file marks, brought to the size of the image."""
    mask = read_mask(where, Path(path))
    region = transform_mask(mask, Transform(min(size), crop="none"))
    if region.shape != size:
        raise UserError(
            f"{where}: {path} has {mask.shape[1]} x {mask.shape[0]} pixels and the image {row['image_id']} {size[1]} x"
            f" {size[0]}; draw it in the proportions of the images."
        )
    return region
