"""Counterfactuals beside their images: what changed in the pixels, in the decision, and in the concepts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pipeline.images import decode_png, encode_png
from pipeline.report.counterfactuals import explained, methods_of
from pipeline.report.heat import colour_map, scale, to_pixels
from pipeline.report.numbers import percent
from pipeline.report.pictures import picture
from pipeline.report.results import Results, Row

if TYPE_CHECKING:
    import polars

STRONGEST = 0.5  # the change of a pixel, averaged over its channels, that has the last colour of the scale
ARROW = "\N{RIGHTWARDS ARROW}"


@dataclass(frozen=True)
class Known:
    """What the tables know about the counterfactuals of one classifier.

    answers: (network, task, row) -> class decided and confidence. causes: (image, target) -> concepts whose change
    alone leads to the target. nearest: (image, target) -> the nearest real image of the target.
    """

    results: Results
    classifier: str
    task: str
    answers: dict[tuple[str, str, str], tuple[int, float]]
    changes: dict[str, list[tuple[str, str]]]
    nearest: dict[tuple[str, str], str]

    def causes(self, image_id: str, target: int) -> list[str]:
        """The concepts whose change alone makes the classifier decide for the target."""
        before = self.answers.get((self.classifier, self.task, image_id))
        if before is None or before[0] == target:
            return []
        leading = {
            concept
            for concept, row in self.changes.get(image_id, [])
            if self.answers.get((self.classifier, self.task, row), (None,))[0] == target
        }
        return [concept for concept in self.results.concepts if concept in leading]

    def changed(self, image_id: str, row: str) -> list[tuple[str, str]]:
        """The concepts that a reader sees change, each with what it was and became."""
        found = []
        for reader in self.results.options.roles["readers"]:
            for concept in self.results.tasks(reader):
                before, after = (self.answers.get((reader, concept, each)) for each in (image_id, row))
                if before and after and before[0] != after[0]:
                    names = [self.results.class_name(reader, concept, each[0]) for each in (before, after)]
                    found.append((concept, f"{concept}: {names[0]} {ARROW} {names[1]}"))
        return list(dict.fromkeys(found))


def show_changes(results: Results) -> dict | None:
    """A gallery for each classifier; nothing where no counterfactuals were made, or the study wants no examples."""
    galleries = [{"name": classifier, "cards": cards(results, classifier)} for classifier in explained(results)]
    if not any(gallery["cards"] for gallery in galleries):
        return None
    return {
        "has_truth": results.has_truth,
        "readers": results.options.roles["readers"],
        "colours": scale(),
        "strongest": percent(STRONGEST),
        "galleries": galleries,
    }


def cards(results: Results, classifier: str) -> list[dict]:
    """The examples of a classifier: images where not all methods do equally well come first."""
    import polars

    own = results.tables["counterfactuals"].filter(
        (polars.col("classifier") == classifier) & (polars.col("sample") == 0)
    )
    chosen = ranked(own).head(results.options.examples).rows()
    known = what_is_known(results, classifier, [image_id for image_id, _ in chosen])
    methods = methods_of(results, classifier)
    found = []
    for image_id, target in chosen:
        rows = own.filter((polars.col("image_id") == image_id) & (polars.col("target") == target)).to_dicts()
        by_method = {row["method"]: row for row in rows}
        found.append(card(known, image_id, target, [by_method[method] for method in methods if method in by_method]))
    return found


def ranked(made: polars.DataFrame) -> polars.DataFrame:
    """Image and target of the counterfactuals: first where some methods reach the target and others do not."""
    import polars

    reached = polars.col("flipped").fill_null(False).cast(polars.Float64)
    grouped = made.group_by("image_id", "target", maintain_order=True).agg(mean=reached.mean())
    return grouped.sort((polars.col("mean") - 0.5).abs(), maintain_order=True).select("image_id", "target")


def what_is_known(results: Results, classifier: str, image_ids: list[str]) -> Known:
    """What the tables know about the images to show."""
    import polars

    of_images = polars.col("image_id").is_in(image_ids)
    nearest = results.good("scores").filter(
        of_images
        & (polars.col("classifier") == classifier)
        & (polars.col("method") == "nearest-real")
        & (polars.col("metric") == "target_accuracy")
    )
    real = {(row["image_id"], row["target_class"]): row["source_row_id"] for row in nearest.to_dicts()}
    shown = of_images | polars.col("source_row_id").is_in(list(real.values()))
    answers = {
        (row["classifier"], row["task"], row["source_row_id"]): (row["predicted"], row["confidence"])
        for row in results.good("predictions").filter(shown).to_dicts()
    }
    changes: dict[str, list[tuple[str, str]]] = {}
    for row in results.tables["interventions"].filter(of_images).to_dicts():
        changes.setdefault(row["image_id"], []).append((row["concept"], row["row_id"]))
    return Known(results, classifier, results.task(classifier), answers, changes, real)


def card(known: Known, image_id: str, target: int, made: list[Row]) -> dict:
    """What the page shows of one image and target."""
    results, classifier, task = known.results, known.classifier, known.task
    original = results.pictures("images", [image_id])[image_id]
    before = known.answers.get((classifier, task, image_id))
    wanted = results.class_name(classifier, task, target)
    causes = known.causes(image_id, target)
    pictures = results.pictures("counterfactuals", [row["row_id"] for row in made])
    views = [view(known, image_id, row, original, pictures.get(row["row_id"]), causes) for row in made]
    real = known.nearest.get((image_id, wanted))
    if real is not None:
        row = {"row_id": real, "method": "nearest real", "status": "ok", "reason": None, "flipped": True}
        row |= {"confidence_target": known.answers[classifier, task, real][1]}
        pixels = results.pictures("images", [real])[real]
        views.append(view(known, image_id, row, original, pixels, causes) | {"control": True})
    decision = results.class_name(classifier, task, before[0]) if before else "unknown"
    return {
        "image_id": image_id,
        "target": f"{task}: {wanted}",
        "causes": causes,
        "known": image_id in known.changes,
        "original": {
            "picture": picture(original),
            "decision": f"{task}: {decision}",
            "confidence": percent(before[1]) if before else None,
            "words": f"Image {image_id} as it is.",
        },
        "views": views,
    }


def view(known: Known, image_id: str, row: Row, original: bytes, png: bytes | None, causes: list[str]) -> dict:
    """One counterfactual, with its difference to the image and what it changes."""
    changed = known.changed(image_id, row["row_id"])
    return {
        "method": row["method"],
        "control": False,
        "picture": None if png is None else picture(png),
        "difference": None if png is None else picture(encode_png(difference(decode_png(original), decode_png(png)))),
        "reached": bool(row["flipped"]),
        "confidence": None if row["confidence_target"] is None else percent(row["confidence_target"]),
        "reason": row["reason"],
        "changed": [{"words": words, "cause": concept in causes} for concept, words in changed],
        "words": f"Counterfactual of {row['method']} for image {image_id}.",
    }


def difference(original: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """How much each pixel changes, averaged over its channels, in the colours of one scale for all images.

    Takes and returns uint8 (H, W, 3); the original is brought to the size of the other.
    """
    from PIL import Image

    if original.shape[:2] != changed.shape[:2]:
        height, width = changed.shape[:2]
        original = np.array(Image.fromarray(original).resize((width, height), Image.Resampling.BILINEAR))
    pair = [each if each.ndim == 3 else np.repeat(each[..., None], 3, 2) for each in (original, changed)]
    change = np.abs(pair[0].astype(float) - pair[1]).mean(2) / 255
    return to_pixels(colour_map(np.clip(change / STRONGEST, 0, 1)))
