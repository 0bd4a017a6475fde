"""Score the maps of a classifier: do they find what flips its decision, does filling in what they mark change it?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.images import decode_mask, to_tensor
from pipeline.infill.file import open_infill
from pipeline.metrics import flipping
from pipeline.metrics.control_maps import CENTRED, RANDOM, contenders
from pipeline.metrics.localisation import tight_boxes
from pipeline.metrics.map_scores import NO_FLIP, Explained, Found, measure, truth_fill_flips
from pipeline.metrics.truth_maps import part_coverage, positive_pixels
from pipeline.noise import Noise
from pipeline.progress import bar
from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.stages.drawn_maps import read_images, read_maps
from pipeline.tables import TableWriter, read_table, row_id

NO_PART = "no pixel of the image shows the concept"
ASKED = (None, RANDOM, CENTRED)
"""What the classifier is asked about; of the other controls its answers say little, and cost as much."""

Row = dict[str, Any]


def score_saliency(
    options: str,
    code: str,
    images: list[Path],
    saliency: list[Path],
    truth: Path,
    classifier: str,
    scores: Path,
    identity: Path | None = None,
    fillers: list[Path] | None = None,
) -> None:
    """Write one row per image, method and metric; an image that a metric has nothing to say of is an unscored row.

    Controls and the ceiling are scored beside the methods. fillers: identities of in-fillers with weights.
    """
    chosen = read_options("score_saliency", options)
    with job("score_saliency", chosen.study, scores) as account:
        with account.clock("tables"):
            maps = read_maps(saliency, classifier)
            image_ids = list(next(iter(maps.values()), {}))
            rows = read_images(images, image_ids)
            flips = read_flips(truth, classifier)
        inputs = {"images": images, "saliency": saliency, "scores": [truth]}
        weights = read_weights([*([identity] if identity else []), *(fillers or [])])
        told = provenance("score_saliency", chosen, code, inputs, weights=weights)
        if not image_ids:  # every map failed, or none of them is of an image that all methods explained
            with TableWriter(scores, "scores", told):
                return
        with account.clock("load"):
            judged = account.place(load_classifier(classifier, chosen.networks[classifier], seed=chosen.seed))
        account.passed, device = account.clock.count, account.device
        targets = [next(iter(maps.values()))[image_id][1] for image_id in image_ids]
        explained = explained_images(rows, targets, flips, Noise(chosen.seed, image_ids, flipping.PURPOSE), device)
        written = [each if isinstance(each, str) else each.model_dump(mode="json") for each in chosen.infills]
        opened = [open_infill(choice, chosen.fillers).to(device) for choice in written]
        infills, first = {infill.name: infill for infill in opened}, opened[0].name
        with account.clock("compute"):
            filled = truth_fill_flips(judged, explained, infills[first])
        made = ((method, np.stack([own[image_id][0] for image_id in image_ids])) for method, own in maps.items())
        beside = {"size": explained.size, "positives": explained.positives, "seed": chosen.seed}
        with TableWriter(scores, "scores", told) as table, bar(f"score {classifier}", len(maps)) as progress:
            for method, control, drawn in contenders(made, image_ids, **beside):
                names = {"classifier": classifier, "method": method, "control": control}
                asked = judged if control in ASKED else None
                with account.clock("compute"):
                    found = list(measure(drawn, explained, filled, asked, infills))
                for each in found:
                    table.extend(score_rows(each, names, image_ids))
                table.extend(list(coverage_rows(drawn, rows, flips, names)))
                progress.advance(control is None)
            if filled is not None:
                found = Found("truth_fill_flips", filled, NO_FLIP, first)
                table.extend(score_rows(found, {"classifier": classifier}, image_ids))
            account.rows = table.rows


def read_flips(truth: Path, classifier: str) -> dict[str, dict[str, bool]]:
    """Which concepts flip the classifier's decision, by image; empty where there are no interventions."""
    columns = ["image_id", "classifier", "metric", "concept", "value", "status"]
    flips: dict[str, dict[str, bool]] = {}
    for row in read_table(truth, "scores", columns).to_pylist():
        if row["classifier"] == classifier and row["metric"] == "flips" and row["status"] == "ok":
            flips.setdefault(row["image_id"], {})[row["concept"]] = bool(row["value"])
    return flips


def explained_images(
    rows: list[Row], targets: list[int], flips: dict[str, dict[str, bool]], noise: Noise, device: torch.device
) -> Explained:
    """The images of the maps, on a device, with the pixels that matter and their boxes, as far as these are known."""
    pixels = to_tensor([row["image"] for row in rows]).to(device)
    positives = known_positives(rows, flips)
    return Explained(pixels, torch.tensor(targets, device=device), positives, true_boxes(rows, positives), noise)


def known_positives(rows: list[Row], flips: dict[str, dict[str, bool]]) -> np.ndarray | None:
    """The pixels (N, H, W) that the decision truly depends on; None where the truth is not known."""
    if not flips:
        return None
    parts = [{part["concept"]: decode_mask(part["mask"]) for part in row["parts"]} for row in rows]
    return np.stack([positive_pixels(of_row, flips[row["row_id"]]) for of_row, row in zip(parts, rows, strict=True)])


def true_boxes(rows: list[Row], positives: np.ndarray | None) -> list[np.ndarray]:
    """The boxes (B, 4) of each image: of the pixels that matter, or those of its objects where these are not known."""
    if positives is not None:
        return [tight_boxes(mask) for mask in positives]
    return [np.array([[box[edge] for edge in ("x0", "y0", "x1", "y1")] for box in row["boxes"] or []]) for row in rows]


def coverage_rows(
    maps: np.ndarray, rows: list[Row], flips: dict[str, dict[str, bool]], names: dict[str, str | None]
) -> Iterator[Row]:
    """How strongly the maps mark each part, apart for the images whose decision its intervention flips and the rest."""
    parts = [{part["concept"]: decode_mask(part["mask"]) for part in row["parts"] or []} for row in rows]
    for concept in dict.fromkeys(concept for of_row in parts for concept in of_row):
        known = [
            index
            for index, row in enumerate(rows)
            if concept in parts[index] and concept in flips.get(row["row_id"], {})
        ]
        if not known:
            continue
        covered = part_coverage(maps[known], np.stack([parts[index][concept] for index in known]))
        for index, value, shown in zip(known, covered.values, covered.scored, strict=True):
            image_id = rows[index]["row_id"]
            metric = "coverage_flipping" if flips[image_id][concept] else "coverage_not_flipping"
            yield {
                "row_id": row_id(metric, *names.values(), concept, image_id),
                "status": "ok" if shown else "unscored",
                "reason": None if shown else NO_PART,
                "family": "saliency",
                "image_id": image_id,
                **names,
                "metric": metric,
                "concept": concept,
                "value": float(value) if shown else None,
            }


def score_rows(found: Found, names: dict[str, str | None], image_ids: list[str]) -> list[Row]:
    reasons = np.broadcast_to(found.reason, len(image_ids)).tolist()
    return [
        {
            "row_id": row_id(found.metric, *names.values(), found.infill, image_id),
            "status": "ok" if known else "unscored",
            "reason": None if known else why,
            "family": "saliency",
            "image_id": image_id,
            **names,
            "metric": found.metric,
            "infill": found.infill,
            "value": float(value) if known else None,
        }
        for image_id, value, known, why in zip(image_ids, *found.values, reasons, strict=True)
    ]
