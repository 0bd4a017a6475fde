"""Score the maps of a classifier: do they find what flips its decision, does filling in what they mark change it?"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.device import pick_device, place
from pipeline.images import decode_mask, to_tensor
from pipeline.infill import load_infill
from pipeline.infill.masked import masked_logits
from pipeline.metrics import flipping
from pipeline.metrics.control_maps import (
    CEILING,
    CENTRED,
    OTHER,
    PURPOSE,
    RANDOM,
    centred_maps,
    other_images,
    random_maps,
)
from pipeline.metrics.localisation import localisation_error, salient_boxes, tuned_alpha
from pipeline.metrics.saliency_metric import saliency_metric
from pipeline.metrics.truth_maps import (
    Scored,
    part_coverage,
    pointing_game,
    positive_pixels,
    truth_auroc,
    truth_average_precision,
    truth_mass,
)
from pipeline.noise import Noise
from pipeline.progress import bar
from pipeline.stages.common import job, provenance, read_weights
from pipeline.tables import TableWriter, read_table, row_id, unpack

NOT_FILLABLE = "filling in exactly the true parts does not change this decision"
NO_MASS = "the map has no value above 0"
NO_FLIP = "no intervention flips this decision, or its parts are the whole image"
FLAT = "filling in the whole image hardly changes the decision"
NO_BOX = "the image has no box"
NO_PART = "no pixel of the image shows the concept"
RULE, ALPHA = "mean", 1.0  # pixels above the map's own mean, as in the fixed-threshold protocol

Row = dict[str, Any]
Found = tuple[str, str | None, Scored, str | np.ndarray]
"""A metric, the in-fill it is by, the scores of all images, and why some have none, for all or for each."""


def score_saliency(
    options: str,
    code: str,
    images: list[Path],
    saliency: list[Path],
    truth: Path,
    classifier: str,
    scores: Path,
    identity: Path | None = None,
) -> None:
    """Write one row per image, method and metric; an image that a metric has nothing to say of is an unscored row.

    Controls and the ceiling are scored beside the methods.
    """
    chosen = json.loads(options)
    with job("score_saliency", chosen["study"], scores) as account:
        with account.clock("tables"):
            maps = read_maps(saliency, classifier)
            image_ids = list(next(iter(maps.values())))
            rows = read_images(images, image_ids)
            flips = read_flips(truth, classifier)
        account.device = device = pick_device()
        with account.clock("load"):
            judged = place(load_classifier(classifier, chosen["networks"][classifier], seed=chosen["seed"]), device)
        judged.register_forward_hook(lambda network, inputs, logits: account.clock.count(len(logits)))
        pixels = to_tensor([row["image"] for row in rows]).to(device)
        size = tuple(pixels.shape[-2:])
        inputs = {"images": images, "saliency": saliency, "scores": [truth]}
        weights = read_weights([identity] if identity else [])
        told = provenance("score_saliency", chosen, code, inputs, weights=weights)
        targets = torch.tensor([next(iter(maps.values()))[image_id][1] for image_id in image_ids], device=device)
        positives = known_positives(rows, flips)
        with account.clock("compute"):
            filled = None if positives is None else truth_fill_flips(judged, pixels, positives, image_ids, chosen)
        with TableWriter(scores, "scores", told) as table, bar(f"score {classifier}", len(maps)) as progress:
            for method, control, drawn in contenders(maps, positives, size, chosen["seed"]):
                names = {"classifier": classifier, "method": method, "control": control}
                with account.clock("compute"):
                    boxes = salient_boxes(drawn, size, rule=RULE, alpha=ALPHA, largest_component=True)
                    found = [*truth_scores(drawn, positives, filled), *box_scores(drawn, boxes, rows, positives, size)]
                    if control in (None, RANDOM, CENTRED):
                        found += saliency_metric_scores(boxes, judged, pixels, targets)
                        found += flipping_scores(drawn, judged, pixels, targets, image_ids, chosen)
                for metric, infill, scored, reason in found:
                    table.extend(score_rows(metric, infill, scored, reason, names, image_ids))
                table.extend(list(coverage_rows(drawn, rows, flips, names)))
                progress.advance(control is None)
            if filled is not None:
                first, names = chosen["infills"][0], {"classifier": classifier}
                table.extend(score_rows("truth_fill_flips", first, filled, NO_FLIP, names, image_ids))
            account.rows = table.rows


def read_maps(paths: list[Path], classifier: str) -> dict[str, dict[str, tuple[np.ndarray, int]]]:
    """Map and target by method and image, in the order of the table, of the images that every method explains."""
    columns = ["image_id", "classifier", "method", "target", "map", "shape", "status"]
    maps: dict[str, dict[str, tuple[np.ndarray, int]]] = {}
    for row in read_table(paths, "saliency", columns).to_pylist():
        if row["classifier"] == classifier and row["status"] == "ok":
            drawn = unpack("saliency", "map", row["map"], row["shape"])
            maps.setdefault(row["method"], {})[row["image_id"]] = (drawn, row["target"])
    shared = set.intersection(*(set(of_method) for of_method in maps.values()))
    return {
        method: {image_id: of_method[image_id] for image_id in of_method if image_id in shared}
        for method, of_method in maps.items()
    }


def contenders(
    maps: dict[str, dict[str, tuple[np.ndarray, int]]], positives: np.ndarray | None, size: tuple[int, int], seed: int
) -> Iterator[tuple[str | None, str | None, np.ndarray]]:
    """Method, control and maps (N, h, w) of all that is scored: what methods drew, then what stands in their place.

    Another image's map is a control of its method; the others are of none.
    """
    image_ids = list(next(iter(maps.values())))
    for method, of_method in maps.items():
        drawn = np.stack([of_method[image_id][0] for image_id in image_ids])
        yield method, None, drawn
        if len(image_ids) > 1:
            yield method, OTHER, drawn[other_images(image_ids)]
    yield None, RANDOM, random_maps(Noise(seed, image_ids, PURPOSE), size)
    yield None, CENTRED, centred_maps(len(image_ids), size)
    if positives is not None:
        yield None, CEILING, positives.astype(np.float32)


def read_images(paths: list[Path], image_ids: list[str]) -> list[Row]:
    columns = ["row_id", "image", "parts", "boxes"]
    return read_table(paths, "images", columns, row_ids=image_ids).to_pylist()


def read_flips(truth: Path, classifier: str) -> dict[str, dict[str, bool]]:
    """Which concepts flip the classifier's decision, by image; empty where there are no interventions."""
    columns = ["image_id", "classifier", "metric", "concept", "value", "status"]
    flips: dict[str, dict[str, bool]] = {}
    for row in read_table(truth, "scores", columns).to_pylist():
        if row["classifier"] == classifier and row["metric"] == "flips" and row["status"] == "ok":
            flips.setdefault(row["image_id"], {})[row["concept"]] = bool(row["value"])
    return flips


def known_positives(rows: list[Row], flips: dict[str, dict[str, bool]]) -> np.ndarray | None:
    """The pixels (N, H, W) that the decision truly depends on; None where the truth is not known."""
    if not flips:
        return None
    parts = [{part["concept"]: decode_mask(part["mask"]) for part in row["parts"]} for row in rows]
    return np.stack([positive_pixels(of_row, flips[row["row_id"]]) for of_row, row in zip(parts, rows, strict=True)])


def truth_scores(maps: np.ndarray, positives: np.ndarray | None, filled: Scored | None) -> Iterator[Found]:
    """The scores against the truth; the area also over the images where filling in exactly the truth flips it."""
    if positives is None or filled is None:
        return
    area = truth_auroc(maps, positives)
    yield "truth_mass", None, truth_mass(maps, positives), np.where(area.scored, NO_MASS, NO_FLIP)
    yield "truth_auroc", None, area, NO_FLIP
    fillable = area.scored & filled.scored & (filled.values == 1)
    yield "truth_auroc_fillable", None, Scored(np.where(fillable, area.values, 0.0), fillable), NOT_FILLABLE
    yield "truth_average_precision", None, truth_average_precision(maps, positives), NO_FLIP
    yield "pointing_game", None, pointing_game(maps, positives), NO_FLIP


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


def box_scores(
    maps: np.ndarray, marked: np.ndarray, rows: list[Row], positives: np.ndarray | None, size: tuple[int, int]
) -> Iterator[Found]:
    """Localisation by the tight box (N, 4) of each map's largest region, in images of `size`."""
    if positives is not None:
        truth = [tight_boxes(mask) for mask in positives]
    else:
        truth = [
            np.array([[box[edge] for edge in ("x0", "y0", "x1", "y1")] for box in row["boxes"] or []]) for row in rows
        ]
    if any(len(boxes) for boxes in truth):
        yield "localisation_error", None, localisation_error(marked, truth), NO_BOX
        yield "localisation_error_tuned", None, localisation_error(tuned_boxes(maps, truth, size), truth), NO_BOX


def saliency_metric_scores(
    marked: np.ndarray, classifier: Classifier, images: torch.Tensor, targets: torch.Tensor
) -> Iterator[Found]:
    """The saliency metric of the images cut to their boxes (N, 4)."""
    values = np.asarray(saliency_metric(classifier, images, targets, marked))
    yield "saliency_metric", None, Scored(values, np.isfinite(values)), "not finite"


def tuned_boxes(maps: np.ndarray, truth: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Boxes (N, 4) by the threshold with the fewest errors on the other half of the images (every second one)."""
    boxes = salient_boxes(maps, size, rule=RULE, alpha=ALPHA, largest_component=True)
    for half in (0, 1):
        others = [index for index in range(1 - half, len(maps), 2) if len(truth[index])]
        if others:
            held_out = [truth[index] for index in others]
            alpha = tuned_alpha(maps[others], held_out, size, rule=RULE, largest_component=True)
            boxes[half::2] = salient_boxes(maps[half::2], size, rule=RULE, alpha=alpha, largest_component=True)
    return boxes


def tight_boxes(mask: np.ndarray) -> np.ndarray:
    """The boxes (B, 4) of the connected regions of a mask (H, W), as x0, y0, x1, y1."""
    from scipy.ndimage import find_objects, label

    regions = find_objects(label(mask)[0])
    boxes = [[across.start, down.start, across.stop, down.stop] for down, across in regions]
    return np.array(boxes, float).reshape(-1, 4)


def flipping_scores(
    maps: np.ndarray,
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    image_ids: list[str],
    options: Row,
) -> Iterator[Found]:
    """Areas under the curves of removing and of keeping, for each in-filler of the evaluation."""
    for name in options["infills"]:
        noise = Noise(options["seed"], image_ids, flipping.PURPOSE).to(images.device)
        curves = flipping.flipping_curves(classifier, images, targets, maps, infill=load_infill(name), noise=noise)
        yield "removal_auc", name, flipping.removal_auc(curves), FLAT
        yield "keeping_auc", name, flipping.keeping_auc(curves), FLAT


def truth_fill_flips(
    classifier: Classifier,
    images: torch.Tensor,
    positives: np.ndarray,
    image_ids: list[str],
    options: Row,
) -> Scored:
    """Whether filling in exactly the true parts changes the decision: only there can in-filling find them."""
    keep = torch.from_numpy(np.stack([np.ones_like(positives), ~positives], axis=1))
    noise = Noise(options["seed"], image_ids, flipping.PURPOSE)
    infill = load_infill(options["infills"][0])
    logits = masked_logits(
        classifier, images, lambda image, mask: keep[image, mask][:, None], 2, infill=infill, noise=noise, batch_size=64
    )
    whole, filled = logits.argmax(2).unbind(1)
    return Scored((whole != filled).numpy().astype(float), positives.any((1, 2)))


def score_rows(
    metric: str,
    infill: str | None,
    scored: Scored,
    reason: str | np.ndarray,
    names: dict[str, str | None],
    image_ids: list[str],
) -> list[Row]:
    reasons = np.broadcast_to(reason, len(image_ids)).tolist()
    return [
        {
            "row_id": row_id(metric, *names.values(), infill, image_id),
            "status": "ok" if known else "unscored",
            "reason": None if known else why,
            "family": "saliency",
            "image_id": image_id,
            **names,
            "metric": metric,
            "infill": infill,
            "value": float(value) if known else None,
        }
        for image_id, value, known, why in zip(image_ids, scored.values, scored.scored, reasons, strict=True)
    ]
