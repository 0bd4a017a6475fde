"""Which maps find the truth: the scores of every method for each classifier, beside those of maps that explain nothing.

A method is said to find something only where it beats all controls.
"""

from collections.abc import Iterator

from pipeline.metrics.control_maps import CEILING, CENTRED, CONTROLS, OTHER, RANDOM
from pipeline.metrics.names import measures
from pipeline.report.columns import Column, cell, figures, header
from pipeline.report.numbers import count, decimal, listing, percent
from pipeline.report.results import Results
from pipeline.report.truth import dependence

MEASURES = measures("saliency")
HEADLINE = ("truth_mass", "truth_average_precision", "pointing_game", "removal_auc", "keeping_auc")
"""What the answer is given by; the others stand in the table of all measures."""
YARDSTICKS = {
    RANDOM: "noise: looks at nothing",
    CENTRED: "one Gaussian for all images: looks at none",
    CEILING: "the ceiling: the pixels that matter as the map",
}
"""What stands below the methods, in a row of its own; another image's map stands in the cells of its method."""
SHORT = {RANDOM: "random", CENTRED: "centred", OTHER: "another's"}
FEW = 5  # images on either side, below which a comparison of parts says nothing


def compare_maps(results: Results) -> dict | None:
    """A table for each classifier; nothing where no maps were made."""
    if not results.tables["saliency"].height:
        return None
    tables = [table(results, classifier) for classifier in results.classifiers]
    used = {column["metric"] for each in tables for column in each["columns"]}
    further = {line["metric"] for each in tables for line in each["everything"]["lines"]}
    return {
        "heading": None if results.has_truth else "What the maps are worth",
        "has_truth": results.has_truth,
        "interval_name": results.interval_name,
        "tables": tables,
        "meanings": [measure for metric, measure in MEASURES.items() if metric in used],
        "further_meanings": [measure for metric, measure in MEASURES.items() if metric in further - used],
    }


def columns(results: Results, classifier: str) -> list[Column]:
    """The metrics of a classifier's maps, in the order of MEASURES."""
    found = []
    for metric, measure in MEASURES.items():
        rows = results.metric(metric, classifier, "saliency")
        differences = results.metric(f"{metric}_difference", classifier, "saliency")
        for infill in dict.fromkeys(row["infill"] for row in rows):
            own = {(row["method"], row["control"]): row for row in rows if row["infill"] == infill}
            methods = {method: row for (method, control), row in own.items() if control is None}
            controls = {key: row for key, row in own.items() if key[1] is not None}
            pairs = {
                (row["method"], row["compared_with"] or row["control"]): row
                for row in differences
                if row["infill"] == infill
            }
            names = {"metric": metric, "measure": measure, "about": infill, "better": measure.better}
            held = {"confidence": results.confidence, "references": CONTROLS, "controls": controls}
            found.append(Column(**names, rows=methods, differences=pairs, **held))
    return found


def judged(results: Results, column: Column) -> Column:
    """The column without the methods that fill in themselves what it is measured by, which favours them."""
    if column.about is None:
        return column
    own = own_infills(results)
    return column.among(method for method in column.rows if own.get(method) != column.about)


def own_infills(results: Results) -> dict[str, str | None]:
    """What each method fills in where it drops pixels."""
    return dict(results.tables["saliency"].select("method", "infill").unique(maintain_order=True).rows())


def headline(results: Results, classifier: str) -> list[Column]:
    """The columns that the answer is given by, each of the methods that it judges."""
    return [judged(results, column) for column in columns(results, classifier) if column.metric in HEADLINE]


def table(results: Results, classifier: str) -> dict:
    """What the page shows of one classifier."""
    found, lead = headline(results, classifier), leading(results, classifier)
    every = columns(results, classifier)
    methods = list(dict.fromkeys(method for column in every for method in column.rows))
    if lead is not None:
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
        "columns": [header(column) | {"strip": column.metric == "truth_mass"} for column in found],
        "rows": [
            *(
                {"method": method, "control": None, "cells": [of_method(column, method) for column in found]}
                for method in methods
            ),
            *(
                {"method": name, "control": YARDSTICKS[name], "cells": [of_control(column, name) for column in found]}
                for name in yardsticks(found)
            ),
        ],
        "everything": everything(results, every, methods),
        "unscored": [*unscored(results, classifier), *failed_maps(results, classifier)],
    }


def yardsticks(found: list[Column]) -> list[str]:
    """The controls with rows of their own that some column has a number of."""
    return [name for name in YARDSTICKS if any((None, name) in column.controls for column in found)]


def of_method(column: Column, method: str) -> dict:
    """One number of a method, with its controls; in its place why there is none."""
    found = cell(column, method)
    if found is None:
        return {"words": f"fills in {column.about} itself" if column.about else "no score", "mark": ""}
    other = column.controls.get((method, OTHER))
    return {**found, "other": other and other["value"], "unbeaten": [SHORT[name] for name in unbeaten(column, method)]}


def of_control(column: Column, control: str) -> dict | None:
    """One number of a control or the ceiling, which stands beside the comparison."""
    row = column.controls.get((None, control))
    return row and {**figures(row), "mark": "", "other": None, "unbeaten": []}


def unbeaten(column: Column, method: str) -> list[str]:
    """The controls that a method is not shown to beat."""
    known = {control for owner, control in column.controls if owner in (None, method)}
    return [control for control in CONTROLS if control in known and not column.beats(method, control)]


def everything(results: Results, every: list[Column], methods: list[str]) -> dict:
    """All measures, one in each line, each of all methods; what favours a method is never marked as the best."""
    shown, lines = yardsticks(every), []
    for column in every:
        fair = judged(results, column)
        cells = [of_method(fair if method in fair.rows else column, method) for method in methods]
        cells = [each if name in fair.rows else {**each, "mark": ""} for name, each in zip(methods, cells, strict=True)]
        lines.append({**header(column), "strip": False, "cells": cells + [of_control(column, name) for name in shown]})
    return {"methods": [*methods, *shown], "lines": lines}


def leading(results: Results, classifier: str) -> Column | None:
    """The column that decides: the first against the truth, or else the curve that judges the most methods."""
    found = [column for column in headline(results, classifier) if column.rows]
    if not found or found[0].metric.startswith("truth"):
        return found[0] if found else None
    return max(found, key=lambda column: len(column.rows))


def verdict(results: Results, classifier: str) -> str | None:
    """The answer on one classifier in a few sentences, by the leading column; nothing where the metrics have none."""
    lead = leading(results, classifier)
    if lead is None:
        own = "every method fills in itself what it would be judged by: name another in-filler in evaluation: infills"
        return f"On {classifier}, {own}." if headline(results, classifier) else None
    finders = [method for method in lead.rows if not unbeaten(lead, method)]
    if finders:
        said = found_by(results, lead, finders)
    else:
        number = numbers(lead, lead.best, results.interval_name)
        said = f"no map is shown to beat all controls by {lead.label}. The best, {lead.best}, reaches {number}."
    return f"On {classifier}, {said}{beside(lead)}{after(lead)}{second(results, classifier)}"


def found_by(results: Results, lead: Column, finders: list[str]) -> str:
    """Which of the methods that beat all controls is best, which are not distinguishable from it, and which follow."""
    held = lead.among(finders)
    best = held.best
    number = numbers(lead, best, results.interval_name)
    if len(lead.rows) == 1:
        return f"{best} reaches {number}."
    others = [method for method in finders if method != best]
    level = [method for method in others if held.level(method, best)]
    if others and level == others:
        return (
            f"{listing(finders)} beat all controls, and none is distinguishable from the best: {best} reaches {number}."
        )
    what = "finds the pixels that matter best" if lead.metric.startswith("truth") else f"is best by {lead.label}"
    equal = f"; {listing(level)} {'is' if len(level) == 1 else 'are'} not distinguishable from it" if level else ""
    behind = [method for method in others if method not in level and held.compared(method, best)]
    too = f" {listing(behind)} {'beats' if len(behind) == 1 else 'beat'} all controls, too." if behind else ""
    return f"{best} {what} ({number}){equal}.{too}"


def numbers(column: Column, method: str, interval_name: str) -> str:
    """A value with its interval and number of images, as a sentence holds them."""
    row = column.rows[method]
    text = f"{column.label} {decimal(row['value'])}"
    if row["ci_low"] is not None:
        text += f", {interval_name} {decimal(row['ci_low'])} to {decimal(row['ci_high'])}"
    return text + (f", {count(row['n'], 'image')}" if row["n"] is not None else "")


def second(results: Results, classifier: str) -> str:
    """Who beats all controls by average precision."""
    for column in headline(results, classifier):
        if column.metric == "truth_average_precision" and column.rows:
            finders = [method for method in column.rows if not unbeaten(column, method)]
            if not finders:
                return f" By {column.label}, none beats all controls."
            best = column.among(finders).best
            reached = decimal(column.rows[best]["value"])
            if len(finders) == 1:
                return f" By {column.label}, {best} alone beats all controls ({reached})."
            return f" By {column.label}, {listing(finders)} beat all controls; the best value, of {best}, is {reached}."
    return ""


def beside(column: Column) -> str:
    """How those do that explain nothing, and the truth itself."""
    known = [name for name in YARDSTICKS if (None, name) in column.controls]
    said = [f"{article(name)} {decimal(column.controls[None, name]['value'])}" for name in known]
    return f" For comparison: {listing(said)}." if said else ""


def article(control: str) -> str:
    return control if control in (OTHER, CEILING) else f"a {control}"


def after(column: Column) -> str:
    """What follows an answer: who is not shown to beat which control, and who was never compared with the best."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for method in column.rows:
        groups.setdefault(tuple(map(article, unbeaten(column, method))), []).append(method)
    text = "".join(
        f" Not shown to beat {listing(controls, 'or')}: {listing(methods)}."
        for controls, methods in groups.items()
        if controls
    )
    untested = [name for name in column.rows if name != column.best and not column.compared(name, column.best)]
    return text + (f" Not compared with {column.best}: {listing(untested)}." if untested else "")


def unscored(results: Results, classifier: str) -> Iterator[str]:
    """How many images the metrics cannot score, and why; metrics that leave out the same images are one sentence.

    Methods are named where others have a score of the same images.
    """
    import polars

    own = (polars.col("family") == "saliency") & (polars.col("classifier") == classifier)
    scores = results.tables["scores"].filter(own & polars.col("method").is_not_null() & polars.col("control").is_null())
    groups: dict[tuple, list[str]] = {}
    for metric, measure in MEASURES.items():
        of_metric = scores.filter(polars.col("metric") == metric)
        missing = of_metric.filter(polars.col("status") != "ok")
        alike: dict[tuple, list[str]] = {}
        for (reason, method), rows in missing.group_by("reason", "method", maintain_order=True):
            alike.setdefault((reason, tuple(rows["image_id"].unique().sort())), []).append(method)
        for (reason, image_ids), methods in alike.items():
            named = () if len(methods) == of_metric["method"].n_unique() else tuple(methods)
            groups.setdefault((named, reason, image_ids, of_metric["image_id"].n_unique()), []).append(measure.label)
    for (methods, reason, image_ids, total), labels in groups.items():
        who = f"{listing(methods)}: " if methods else ""
        verb = "has" if len(image_ids) == 1 else "have"
        yield f"{who}{len(image_ids)} of {count(total, 'image')} {verb} no {listing(labels, 'or')}: {reason}."


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
            (row["control"] or row["method"], row["concept"]): row
            for row in results.metric(f"coverage_{kind}", classifier, "saliency")
            if row["control"] != OTHER
        }
        for kind in ("flipping", "not_flipping")
    }
    images = [{concept: row["n"] for (_, concept), row in rows.items()} for rows in found.values()]
    concepts = [concept for concept in images[0] if all(own.get(concept, 0) >= FEW for own in images)]
    if not concepts:
        return None
    rows = [
        (method, [found[kind].get((method, concept)) for concept in concepts for kind in found])
        for method in (*methods, *YARDSTICKS)
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
