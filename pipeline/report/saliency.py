"""Which maps find the truth: the scores of every method for each classifier, and which methods can be told apart."""

from collections.abc import Iterator

from pipeline.report.columns import Column, Measure, cell, header
from pipeline.report.numbers import count, decimal, listing, percent
from pipeline.report.results import Results
from pipeline.report.truth import dependence

MEASURES = {
    "truth_auroc": Measure(
        "truth AUROC",
        "higher",
        "the chance that a pixel whose change flips the decision stands higher in the map than one that does not;"
        " guessing gives 0.5",
    ),
    "truth_auroc_fillable": Measure(
        "truth AUROC, fillable",
        "higher",
        "the same over the images where filling in exactly the pixels that matter changes the decision: elsewhere a"
        " method that fills in cannot find them",
    ),
    "truth_average_precision": Measure(
        "truth average precision",
        "higher",
        "how pure the top of the map is: the share of pixels that matter, averaged from the highest pixel down;"
        " guessing gives the share of pixels that matter",
    ),
    "pointing_game": Measure(
        "pointing game", "higher", "the share of images in which the highest pixel of the map is one that matters"
    ),
    "removal_auc": Measure(
        "removal AUC",
        "lower",
        "how sure the classifier stays while the highest pixels are filled in first; the in-fill stands in brackets",
    ),
    "keeping_auc": Measure(
        "keeping AUC",
        "higher",
        "how sure the classifier stays while the lowest pixels are filled in first; the in-fill stands in brackets",
    ),
    "localisation_error": Measure(
        "localisation error",
        "lower",
        "the share of images in which the box around the salient region overlaps no true box by more than half; the"
        " region is what lies above the mean of the map, far more than a small part, so maps that spread fail",
    ),
    "localisation_error_tuned": Measure(
        "localisation error, tuned",
        "lower",
        "the same with the threshold that makes the fewest errors on the other half of the images",
    ),
    "saliency_metric": Measure(
        "saliency metric",
        "lower",
        "how small a box around the salient region can be with the classifier still sure of the image cut to it",
    ),
}
FEW = 5  # images on either side, below which a comparison of parts says nothing


def compare_maps(results: Results) -> dict | None:
    """A table for each classifier; nothing where no maps were made."""
    if not results.tables["saliency"].height:
        return None
    tables = [table(results, classifier) for classifier in results.classifiers]
    used = {column["metric"] for each in tables for column in each["columns"]}
    return {
        "heading": None if results.has_truth else "What the maps are worth",
        "has_truth": results.has_truth,
        "interval_name": results.interval_name,
        "tables": tables,
        "meanings": [measure for metric, measure in MEASURES.items() if metric in used],
    }


def columns(results: Results, classifier: str) -> list[Column]:
    """The metrics of a classifier's maps, in the order of MEASURES."""
    found = []
    for metric, measure in MEASURES.items():
        rows = [row for row in results.metric(metric, classifier, "saliency") if row["method"] is not None]
        differences = results.metric(f"{metric}_difference", classifier, "saliency")
        for infill in dict.fromkeys(row["infill"] for row in rows):
            own = {row["method"]: row for row in rows if row["infill"] == infill}
            pairs = {(row["method"], row["compared_with"]): row for row in differences if row["infill"] == infill}
            names = {"metric": metric, "measure": measure, "about": infill, "better": measure.better}
            held = {"confidence": results.confidence, "references": random_maps(results)}
            found.append(Column(**names, rows=own, differences=pairs, **held))
    return found


def table(results: Results, classifier: str) -> dict:
    """What the page shows of one classifier."""
    found = columns(results, classifier)
    random = random_maps(results)
    methods = list(dict.fromkeys(method for column in found for method in column.rows))
    if found:
        lead = found[0]
        missing = -float("inf") if lead.better == "higher" else float("inf")
        values = {method: lead.rows[method]["value"] if method in lead.rows else missing for method in methods}
        methods.sort(key=values.get, reverse=lead.better == "higher")
    depends = dependence(results, classifier)
    return {
        "name": classifier,
        "verdict": verdict(results, classifier),
        "truth": [{"concept": row["concept"], "rate": percent(row["value"])} for row in depends.depends],
        "truth_known": bool(depends.rows),
        "fillable": fillable(results, classifier),
        "coverage": coverage(results, classifier, methods),
        "columns": [header(column) | {"strip": column.metric == "truth_auroc"} for column in found],
        "rows": [
            {"method": method, "random": method in random, "cells": [cell(column, method) for column in found]}
            for method in methods
        ],
        "unscored": [*unscored(results, classifier), *failed_maps(results, classifier)],
    }


def random_maps(results: Results) -> list[str]:
    """The methods that draw a random map, as the options of the saliency tables tell."""
    methods = results.provenance("saliency").get("options", {}).get("methods", {})
    names = results.tables["saliency"]["method"].unique(maintain_order=True)
    return [name for name in names if methods.get(name, {}).get("method", name) == "random"]


def verdict(results: Results, classifier: str) -> str | None:
    """The answer on one classifier in a few sentences, by its first metric; nothing where the metrics have none."""
    found = columns(results, classifier)
    if not found:
        return None
    lead, random = found[0], random_maps(results)
    random = [method for method in lead.rows if method in random]
    methods = [method for method in lead.rows if method not in random]
    if not methods:
        return f"On {classifier}, there are only random maps."
    best = lead.among(methods).best
    number = numbers(lead, best, results.interval_name)
    lost = [name for name in random if lead.compared(best, name) and not lead.beats(best, name)]
    if lost:
        level = ", ".join(f"{name} {decimal(lead.rows[name]['value'])}" for name in lost)
        return f"On {classifier}, no map is shown to beat the random map ({level}): the best, {best}, reaches {number}."
    if len(methods) == 1:
        return f"On {classifier}, {best} reaches {number}.{after(lead, methods, random)}"
    level = [method for method in methods if lead.level(method, best)]
    if len(level) == len(methods) - 1:
        said = f"On {classifier}, no method is distinguishable from the best: {best} reaches {number}."
        return said + after(lead, methods, random)
    what = "finds the pixels that matter best" if lead.metric.startswith("truth") else f"is best by {lead.label}"
    equal = f"; {listing(level)} {'is' if len(level) == 1 else 'are'} not distinguishable from it" if level else ""
    return f"On {classifier}, {best} {what} ({number}){equal}.{after(lead, methods, random)}"


def numbers(column: Column, method: str, interval_name: str) -> str:
    """A value with its interval and number of images, as a sentence holds them."""
    row = column.rows[method]
    text = f"{column.label} {decimal(row['value'])}"
    if row["ci_low"] is not None:
        text += f", {interval_name} {decimal(row['ci_low'])} to {decimal(row['ci_high'])}"
    return text + (f", {count(row['n'], 'image')}" if row["n"] is not None else "")


def after(column: Column, methods: list[str], random: list[str]) -> str:
    """What follows an answer: how the random map does, and who is not shown to beat it or was never compared."""
    text = "".join(f" The random map {name} reaches {decimal(column.rows[name]['value'])}." for name in random)
    if len(random) == 1:
        text = text.replace(f"map {random[0]}", "map")
        lost = [name for name in methods if column.compared(name, random[0]) and not column.beats(name, random[0])]
        text = text[:-1] + f"; not shown to beat it: {listing(lost)}." if lost else text
    untested = [name for name in column.rows if name != column.best and not column.compared(name, column.best)]
    return text + (f" Not compared with {column.best}: {listing(untested)}." if untested else "")


def unscored(results: Results, classifier: str) -> Iterator[str]:
    """How many images the metrics cannot score, and why; metrics that leave out the same images are one sentence."""
    import polars

    own = (polars.col("family") == "saliency") & (polars.col("classifier") == classifier)
    scores = results.tables["scores"].filter(own & polars.col("method").is_not_null())
    groups: dict[tuple, list[str]] = {}
    for metric, measure in MEASURES.items():
        of_metric = scores.filter(polars.col("metric") == metric)
        missing = of_metric.filter(polars.col("status") != "ok")
        for (reason,), rows in missing.group_by("reason", maintain_order=True):
            key = (reason, tuple(rows["image_id"].unique().sort()), of_metric["image_id"].n_unique())
            groups.setdefault(key, []).append(measure.label)
    for (reason, image_ids, total), labels in groups.items():
        verb = "has" if len(image_ids) == 1 else "have"
        yield f"{len(image_ids)} of {count(total, 'image')} {verb} no {listing(labels, 'or')}: {reason}."


def fillable(results: Results, classifier: str) -> str | None:
    """How many decisions change when exactly the pixels that matter are filled in; nothing where that is not known."""
    rows = results.metric("truth_fill_flip_rate", classifier, "saliency")
    if not rows:
        return None
    row = rows[0]
    changed = round(row["value"] * row["n"])
    decisions = count(row["n"], "decision")
    return (
        f"Filling in exactly the pixels that matter ({row['infill']}) changes {changed} of {decisions}"
        f" ({percent(row['value'])}); on the others no method that fills in can find them, since what is missing from"
        " an image, such as a smile that is not there, cannot be filled in."
    )


def coverage(results: Results, classifier: str, methods: list[str]) -> dict | None:
    """How strongly the maps mark parts that flip some decisions and not others; nothing where there is no such part."""
    found = {
        kind: {
            (row["method"], row["concept"]): row for row in results.metric(f"coverage_{kind}", classifier, "saliency")
        }
        for kind in ("flipping", "not_flipping")
    }
    images = [{concept: row["n"] for (_, concept), row in rows.items()} for rows in found.values()]
    concepts = [concept for concept in images[0] if all(own.get(concept, 0) >= FEW for own in images)]
    if not concepts:
        return None
    rows = [
        (method, [found[kind].get((method, concept)) for concept in concepts for kind in found]) for method in methods
    ]
    return {
        "concepts": [(concept, [count(own[concept], "image") for own in images]) for concept in concepts],
        "rows": [(method, cells) for method, cells in rows if all(cells)],
    }


def failed_maps(results: Results, classifier: str) -> Iterator[str]:
    """How many maps could not be made, by method and reason."""
    import polars

    maps = results.tables["saliency"].filter(polars.col("classifier") == classifier)
    failed = maps.filter(polars.col("status") != "ok")
    for (method, reason), rows in failed.group_by("method", "reason", maintain_order=True):
        total = maps.filter(polars.col("method") == method).height
        yield f"{method}: {rows.height} of {count(total, 'map')} could not be made: {reason}."
