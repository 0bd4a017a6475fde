"""What counterfactuals are worth: valid, close, real, and do they change what the decision truly depends on?"""

from collections.abc import Iterator
from dataclasses import replace

from pipeline.metrics.names import measures
from pipeline.report.columns import Column, cell, header
from pipeline.report.numbers import count, interval, listing, percent
from pipeline.report.results import Results, Row
from pipeline.report.settings import settings, side_by_side

MEASURES = measures("counterfactuals")
HEADLINE = ("target_accuracy", "oracle_target_accuracy", "perceptual_distance", "frechet_distance", "kernel_distance")
"""What the answer is given by, and one of the two distances of sets."""
TRUTH = measures("counterfactuals", "truth")
CONTROLS = {
    "unchanged": "the image as it is",
    "nearest-real": "the nearest other image that is decided for the target",
}
UNTRAINED = "random"
"""The classifier that knows nothing: what it guides shows whose evidence the cone brings in."""
ENOUGH_FOR_FRECHET = 2048  # images; below, its bias outweighs what it tells


def compare_counterfactuals(results: Results) -> dict | None:
    """Tables for each classifier; nothing where no counterfactuals were made."""
    if not results.tables["counterfactuals"].height:
        return None
    tables = [table(results, classifier) for classifier in explained(results)]
    shown = {column["metric"] for each in tables for column in each["minimal"]["columns"]}
    return {
        "has_truth": results.has_truth,
        "interval_name": results.interval_name,
        "tables": tables,
        "meanings": [MEASURES[metric] for metric in HEADLINE if metric in shown],
        "truth_meanings": list(TRUTH.values()) if any(each["truth"] for each in tables) else [],
        "controls": CONTROLS,
    }


def explained(results: Results) -> list[str]:
    """The classifiers that have counterfactuals."""
    there = set(results.tables["counterfactuals"]["classifier"])
    return [classifier for classifier in results.classifiers if classifier in there]


def methods_of(results: Results, classifier: str) -> list[str]:
    """The methods that made counterfactuals of a classifier, in the order of the table."""
    import polars

    own = results.tables["counterfactuals"].filter(polars.col("classifier") == classifier)
    return own["method"].unique(maintain_order=True).to_list()


def columns_of(results: Results, classifier: str, metric: str) -> list[Column]:
    """The columns of a metric over all pairs of classes: one for each judge, definition and network."""
    apart = ("judge", "definition", "network")

    def whole(rows: list[Row]) -> list[Row]:
        return [row for row in rows if all(row[name] is None for name in ("source_class", "pairs", "concept"))]

    rows = whole(results.metric(metric, classifier, "counterfactuals"))
    differences = whole(results.metric(f"{metric}_difference", classifier, "counterfactuals"))
    found = []
    for key in dict.fromkeys(tuple(row[name] for name in apart) for row in rows):
        own = [row for row in rows if tuple(row[name] for name in apart) == key]
        pairs = [row for row in differences if tuple(row[name] for name in apart) == key]
        found.append(
            Column(
                metric=metric,
                measure=MEASURES[metric],
                about=key[0] or key[2],
                definition=key[1],
                rows={row["method"]: row for row in own},
                differences={(row["method"], row["compared_with"]): row for row in pairs},
                better=MEASURES[metric].better,
                confidence=results.confidence,
            )
        )
    return found


def table(results: Results, classifier: str) -> dict:
    """What the page shows of one classifier."""
    methods = methods_of(results, classifier)
    minimal = minimal_columns(results, classifier)
    truth = [column for metric in TRUTH for column in columns_of(results, classifier, metric)]
    return {
        "name": classifier,
        "verdict": verdict(minimal, truth, methods, results.interval_name),
        "minimal": compared(minimal, methods, untrained_rows(results, classifier, minimal)),
        "helped": helped(results, methods, minimal),
        "truth": [compared(columns, methods, []) | {"reader": reader} for reader, columns in by_judge(truth).items()],
        "settings": side_by_side(results, methods),
        "everything": everything(results, classifier, methods),
        "concepts": concept_rows(results, classifier, methods),
        "notes": list(failures(results, classifier)),
    }


def minimal_columns(results: Results, classifier: str) -> list[Column]:
    """Validity for the classifier and for others, closeness, and realism by what the number of images allows."""
    found = []
    for metric in HEADLINE:
        columns = columns_of(results, classifier, metric)
        found += [column for column in columns if column.definition != "paper"]
    numbers = [row["n"] for column in found for row in column.rows.values() if row["n"] is not None]
    unwanted = "kernel_distance" if numbers and min(numbers) >= ENOUGH_FOR_FRECHET else "frechet_distance"
    return [column for column in found if column.metric != unwanted]


def everything(results: Results, classifier: str, methods: list[str]) -> dict:
    """All measures but those against the truth, one in each line, by both definitions where there are two."""
    shown = [*methods, *CONTROLS]
    lines = []
    for metric in (each for each in MEASURES if each not in TRUTH):
        for column in columns_of(results, classifier, metric):
            own = column.among(methods)
            cells = [cell(own, name) if name in methods else plain(column, name) for name in shown]
            lines.append({**header(column), "definition": column.definition, "cells": cells})
    return {
        "methods": shown,
        "lines": lines,
        "meanings": [MEASURES[metric] for metric in dict.fromkeys(line["metric"] for line in lines)],
    }


def by_judge(columns: list[Column]) -> dict[str, list[Column]]:
    """The columns of each judge, which then needs no name in each of them."""
    found: dict[str, list[Column]] = {}
    for column in columns:
        found.setdefault(column.about, []).append(replace(column, about=None))
    return found


def compared(columns: list[Column], methods: list[str], further: list[dict]) -> dict:
    """A table of methods, then controls, which take no part in the comparison, then further rows."""
    among = [column.among(methods) for column in columns]
    controls = [name for name in CONTROLS if any(name in column.rows for column in columns)]
    rows = [{"method": name, "control": None, "cells": [cell(column, name) for column in among]} for name in methods]
    rows += [
        {"method": name, "control": CONTROLS[name], "cells": [plain(column, name) for column in columns]}
        for name in controls
    ]
    return {
        "columns": [header(own if own.rows else column) for own, column in zip(among, columns, strict=True)],
        "rows": rows + further,
    }


def plain(column: Column, method: str) -> dict | None:
    """A number that stands beside the comparison."""
    found = cell(column, method)
    return found and {**found, "mark": ""}


def untrained_rows(results: Results, classifier: str, columns: list[Column]) -> list[dict]:
    """What a classifier that was never trained makes, by every method with a cone: the cone's own evidence.

    Its target accuracy is in the eyes of `classifier`, as that of an oracle.
    """
    if classifier == UNTRAINED or UNTRAINED not in explained(results):
        return []
    found = []
    known = settings(results)
    for method in methods_of(results, UNTRAINED):
        if known.get(method, {}).get("cone"):
            cells = [untrained_cell(results, classifier, column, method) for column in columns]
            if any(cells):
                name = f"{UNTRAINED}, {method}"
                found.append(
                    {"method": name, "control": "guided by an untrained network, with the cone", "cells": cells}
                )
    return found


def untrained_cell(results: Results, classifier: str, column: Column, method: str) -> dict | None:
    metric, judge = column.metric, column.about
    if metric == "target_accuracy":
        metric, judge = "oracle_target_accuracy", classifier
    for own in columns_of(results, UNTRAINED, metric):
        if own.about == judge and own.definition == column.definition:
            return plain(own, method)
    return None


def helped(results: Results, methods: list[str], columns: list[Column]) -> list[str]:
    """Judges that took part in making what they judge, as the helper of a cone."""
    known = settings(results)
    helpers = {(known.get(method, {}).get("cone") or {}).get("helper") for method in methods}
    return [column.about for column in columns if column.metric == "oracle_target_accuracy" and column.about in helpers]


def concept_rows(results: Results, classifier: str, methods: list[str]) -> dict | None:
    """How often each concept is changed: where its change flips the decision, and where it does not."""
    found: dict[str, dict[tuple[str, str], Row]] = {}
    for metric in ("changes_cause", "changes_beside_cause"):
        for row in results.metric(metric, classifier, "counterfactuals"):
            if row["concept"] is not None and row["pairs"] is None:
                found.setdefault(row["concept"], {})[metric, row["method"]] = row
    if not found:
        return None
    shown = [*methods, *(name for name in CONTROLS if any((key[1] == name) for each in found.values() for key in each))]
    rows = [
        {
            "concept": concept,
            "cells": [
                [own.get((metric, method)) for metric in ("changes_cause", "changes_beside_cause")] for method in shown
            ],
        }
        for concept, own in found.items()
    ]
    return {"methods": shown, "rows": rows}


def verdict(minimal: list[Column], truth: list[Column], methods: list[str], interval_name: str) -> str | None:
    """The answer on one classifier in a few sentences."""
    lead = next((column.among(methods) for column in minimal if column.metric == "target_accuracy"), None)
    if lead is None or not lead.rows:
        return None
    best = lead.best
    reached = share(lead.rows[best], interval_name)
    level = [method for method in lead.rows if lead.mark(method) == "level"]
    text = f"{best} reaches the target most often, for {reached}."
    if len(lead.rows) > 1 and len(level) == len(lead.rows) - 1:
        text = f"No method is distinguishable from the best: {best} reaches the target for {reached}."
    elif level:
        text = f"{text[:-1]}; {listing(level)} {'is' if len(level) == 1 else 'are'} not distinguishable from it."
    return text + truth_sentence(truth, best)


def truth_sentence(truth: list[Column], method: str) -> str:
    """What a method's valid counterfactuals change, beside the nearest real image."""
    found = {column.metric: column.rows for column in reversed(truth)}
    for metrics, where in (
        (("changes_only_cause", "changes_beside_only_cause"), "where exactly one concept flips the decision"),
        (("changes_cause", "changes_beside_cause"), "where some concept flips the decision"),
    ):
        rows = [found.get(metric, {}) for metric in metrics]
        if all(method in each for each in rows):
            cause, beside = (each[method] for each in rows)
            text = (
                f" Of its {count(cause['n'], 'valid counterfactual')} {where}, {percent(cause['value'])} change that"
                f" concept and {percent(beside['value'])} another"
            )
            if all("nearest-real" in each for each in rows):
                real = [each["nearest-real"] for each in rows]
                text += (
                    f"; of the nearest real images of the target, {percent(real[0]['value'])} and"
                    f" {percent(real[1]['value'])} do ({count(real[0]['n'], 'image')})"
                )
            return f"{text}."
    return ""


def share(row: Row, interval_name: str) -> str:
    text = f"{percent(row['value'])} of {count(row['n'], 'image')}"
    return text if row["ci_low"] is None else f"{text} ({interval_name} {interval(row['ci_low'], row['ci_high'])})"


def failures(results: Results, classifier: str) -> Iterator[str]:
    """Counterfactuals that could not be made, and those that do not reach their target, by method."""
    import polars

    own = results.tables["counterfactuals"].filter(polars.col("classifier") == classifier)
    failed = own.filter(polars.col("status") != "ok")
    for (method, reason), rows in failed.group_by("method", "reason", maintain_order=True):
        total = own.filter(polars.col("method") == method).height
        yield f"{method}: {rows.height} of {count(total, 'counterfactual')} could not be made: {reason}."
    for (method,), rows in own.filter(polars.col("status") == "ok").group_by("method", maintain_order=True):
        missed = rows.height - int(rows["flipped"].sum())
        if missed:
            yield f"{method}: {missed} of {count(rows.height, 'counterfactual')} do not reach their target."
