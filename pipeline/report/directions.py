"""Directions of codes: how many images each flips and how far along, what it changes, and its source image along it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.charts import Curve, curve_chart, inlined
from pipeline.report.numbers import decimal, percent
from pipeline.report.pictures import picture
from pipeline.report.results import Results, Row

if TYPE_CHECKING:
    import polars

MOST = 4  # concepts shown of those that move


def show_directions(results: Results) -> dict | None:
    """A table, a curve and strips for each classifier that has directions; nothing where none has."""
    found = results.tables["directions"]
    if not found.height:
        return None
    return {
        "readers": results.options.roles["readers"],
        "galleries": [
            of_classifier(results, classifier, place)
            for place, classifier in enumerate(results.classifiers)
            if classifier in set(found["classifier"])
        ],
    }


def of_classifier(results: Results, classifier: str, place: int) -> dict:
    """The directions of a classifier, in the order of the study."""
    import polars

    rows = results.tables["directions"].filter(polars.col("classifier") == classifier).to_dicts()
    led = results.good("counterfactuals").filter(
        (polars.col("classifier") == classifier) & polars.col("direction").is_not_null()
    )
    curves = tuple(
        Curve(row["method"], tuple(sorted(own.filter("flipped")["strength"])), own.height)
        for row in rows
        if (own := led.filter(polars.col("method") == row["method"])).height
    )
    chart = curve_chart(curves, "standard deviations along the direction, at most") if curves else None
    words = f"Share of images that each direction flips for {classifier}, by how far along it they are led."
    return {
        "name": classifier,
        "chart": chart and inlined(chart, words, f"directions-{place}-"),
        "rows": [line(results, classifier, row, led) for row in rows],
        "strips": [strip(results, classifier, row) for row in rows if row["status"] == "ok"],
    }


def line(results: Results, classifier: str, row: Row, led: polars.DataFrame) -> dict:
    """What the table says of one direction."""
    import polars

    own = led.filter(polars.col("method") == row["method"])
    flipped = own.filter("flipped")
    known = row["status"] == "ok"
    return {
        "method": row["method"],
        "reason": row["reason"],
        "kind": row["kind"],
        "decodes": f"{row['decodes']:,}" if known else None,
        "calibrated": percent(row["calibration_flip_rate"]) if known else None,
        "flipped": percent(flipped.height / own.height) if own.height else None,
        "images": own.height,
        "strength": decimal(flipped["strength"].median()) if flipped.height else None,
        "moves": moves(results, classifier, row["method"]),
        "agreements": [
            decimal(each["value"])
            for each in results.metric("effect_correlation", classifier, "directions")
            if each["method"] == row["method"]
        ],
    }


def moves(results: Results, classifier: str, method: str) -> list[dict]:
    """The concepts that move most, with how far, and how often changing each alone flips the classifier."""
    flips = {each["concept"]: each["value"] for each in results.metric("intervention_flip_rate", classifier)}
    effects = [each for each in results.metric("concept_effect", classifier, "directions") if each["method"] == method]
    ordered = sorted(effects, key=lambda each: -abs(each["value"]))[:MOST]
    return [
        {
            "concept": each["concept"],
            "effect": decimal(each["value"]),
            "flips": percent(flips[each["concept"]]) if each["concept"] in flips else None,
            "cause": flips.get(each["concept"], 0) == max(flips.values(), default=0) > 0,
        }
        for each in ordered
    ]


def strip(results: Results, classifier: str, row: Row) -> dict:
    """The source image of a direction along it, from one class to the other."""
    task = results.task(classifier)
    (found,) = results.read("directions", ["strip"], [row["row_id"]])
    views = []
    for each in found["strip"] or []:
        decided = max(range(len(each["logits"])), key=each["logits"].__getitem__)
        views.append(
            {
                "picture": picture(each["image"]["bytes"]),
                "strength": f"{each['strength']:+.1f}",
                "decision": results.class_name(classifier, task, decided),
                "target": decided == row["target"],
            }
        )
    return {
        "method": row["method"],
        "image_id": row["source_image_id"],
        "target": f"{task}: {results.class_name(classifier, task, row['target'])}",
        "views": views,
    }
