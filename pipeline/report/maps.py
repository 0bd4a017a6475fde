"""Images with the map of every method beside the pixels that truly matter."""

import numpy as np

from pipeline.images import decode_mask, decode_png, encode_png
from pipeline.metrics.truth_maps import positive_pixels
from pipeline.report.heat import heat, outline, scale, spotlight
from pipeline.report.numbers import decimal
from pipeline.report.pictures import picture
from pipeline.report.results import Results, Row
from pipeline.tables import unpack

ORDERED_BY = "truth_mass"


def show_maps(results: Results) -> dict | None:
    """A gallery for each classifier; nothing where no maps were made, or the study wants no examples."""
    galleries = [
        {"name": classifier, "cards": cards(results, classifier, index)}
        for index, classifier in enumerate(results.classifiers)
    ]
    if not any(gallery["cards"] for gallery in galleries):
        return None
    return {
        "has_truth": results.has_truth,
        "worst_of": results.tables["saliency"]["method"][0] if results.options.order == "worst" else None,
        "colours": scale(),
        "galleries": galleries,
    }


def cards(results: Results, classifier: str, index: int) -> list[dict]:
    """The examples of a classifier as the page shows them; index: of the classifier, for the ids of the page."""
    import polars

    maps = results.tables["saliency"].filter(polars.col("classifier") == classifier)
    scores = scores_of(results, classifier)
    chosen = maps["image_id"].unique(maintain_order=True).to_list()
    if results.options.order == "worst":
        chosen = worst_first(chosen, scores, maps["method"].to_list())
    chosen = chosen[: results.options.examples]
    images = {row["row_id"]: row for row in results.read("images", ["row_id", "image", "parts"], chosen)}
    shown = maps.filter(polars.col("image_id").is_in(chosen))
    drawn = results.read("saliency", ["row_id", "map", "shape"], shown["row_id"].to_list())
    arrays = {
        row["row_id"]: None if row["map"] is None else unpack("saliency", "map", row["map"], row["shape"])
        for row in drawn
    }
    flips = flipping(results, classifier)
    decided = decisions(results, classifier)
    found = []
    for place, image_id in enumerate(chosen):
        if image_id not in images:
            continue
        own = shown.filter(polars.col("image_id") == image_id).to_dicts()
        methods = {row["method"]: arrays[row["row_id"]] for row in own}
        of_image = {method: scores.get((image_id, method)) for method in methods}
        shared = {"id": f"truth-{index}-{place}", "image_id": image_id, "decision": decided.get(image_id)}
        found.append(shared | card(images[image_id], classifier, methods, of_image, flips.get(image_id, {})))
    return found


def scores_of(results: Results, classifier: str) -> dict[tuple[str, str], Row]:
    """The score that orders the images, by image and method; a failed one has a reason."""
    import polars

    own = (polars.col("family") == "saliency") & (polars.col("metric") == ORDERED_BY)
    own &= polars.col("control").is_null()
    rows = results.tables["scores"].filter(own & (polars.col("classifier") == classifier)).to_dicts()
    return {(row["image_id"], row["method"]): row for row in rows}


def worst_first(image_ids: list[str], scores: dict[tuple[str, str], Row], methods: list[str]) -> list[str]:
    """The images, those first that the first method explains worst, those that cannot be scored last."""

    def place(image_id: str) -> tuple[bool, float]:
        row = scores.get((image_id, methods[0]))
        known = row is not None and row["status"] == "ok"
        return not known, row["value"] if known else 0.0

    return sorted(image_ids, key=place)


def flipping(results: Results, classifier: str) -> dict[str, dict[str, bool]]:
    """Which concepts flip the decision, by image."""
    import polars

    own = (polars.col("metric") == "flips") & (polars.col("classifier") == classifier)
    flips: dict[str, dict[str, bool]] = {}
    for row in results.good("scores").filter(own).to_dicts():
        flips.setdefault(row["image_id"], {})[row["concept"]] = bool(row["value"])
    return flips


def decisions(results: Results, classifier: str) -> dict[str, str]:
    """What the classifier says of each unchanged image."""
    import polars

    task = results.task(classifier)
    if task is None:
        return {}
    own = (polars.col("classifier") == classifier) & (polars.col("source") == "images") & (polars.col("task") == task)
    rows = results.good("predictions").filter(own).to_dicts()
    return {row["image_id"]: f"{task}: {results.class_name(classifier, task, row['predicted'])}" for row in rows}


def card(
    image: Row,
    classifier: str,
    maps: dict[str, np.ndarray | None],
    scores: dict[str, Row | None],
    flips: dict[str, bool],
) -> dict:
    """What the page shows of one image; maps: method -> map, None where it could not be made."""
    pixels = decode_png(image["image"]["bytes"])
    parts = {part["concept"]: decode_mask(part["mask"]) for part in image["parts"] or []}
    truth = positive_pixels(parts, flips) if parts else np.zeros(pixels.shape[:2], bool)
    concepts = [concept for concept, flipped in flips.items() if flipped]
    about = f"image {image['row_id']}"
    reasons = [row["reason"] for row in scores.values() if row is not None and row["status"] != "ok"]
    return {
        "concepts": concepts,
        "known": bool(flips),
        "size": f"{pixels.shape[1]} {pixels.shape[0]}",
        "outline": outline(truth) if truth.any() else None,
        "original": {"picture": picture(image["image"]["bytes"]), "words": f"The {about} as it is."},
        "truth": {
            "picture": picture(encode_png(spotlight(pixels, truth))),
            "words": f"What {classifier} truly depends on in {about}: {', '.join(concepts)}.",
        }
        if truth.any()
        else None,
        "maps": [
            {
                "method": method,
                "picture": None if map is None else picture(encode_png(heat(pixels, map))),
                "words": f"Map of {method} for {classifier} on {about}.",
                "score": decimal(scores[method]["value"]) if scored(scores[method]) else None,
            }
            for method, map in maps.items()
        ],
        "reason": reasons[0] if reasons else None,
    }


def scored(row: Row | None) -> bool:
    return row is not None and row["status"] == "ok"
