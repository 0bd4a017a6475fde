"""The bench: what all kinds of explanations say of concepts, in one table beside controls and the ceiling."""

from typing import NamedTuple

from pipeline.metrics.names import METRICS
from pipeline.report.columns import figures
from pipeline.report.results import Results, Row

CEILING = "the effect itself"


def hold_against_truth(results: Results) -> dict | None:
    """A row for each explanation and control, a column for each classifier and planted shortcut."""
    columns = [
        {"metric": metric, "classifier": classifier, "label": METRICS[metric].label, "better": METRICS[metric].better}
        for metric in ("accusation_auroc", "shortcut_found", "false_alarm")
        for classifier in results.classifiers
        if results.metric(metric, classifier, "accusations")
    ]
    if not columns:
        return None
    cells = [
        {named(row): row for row in results.metric(column["metric"], column["classifier"], "accusations")}
        for column in columns
    ]
    names = list(dict.fromkeys(name for column in cells for name in column))
    methods = [name for name in names if name.method is not None and name.control is None]
    controls = sorted((name for name in names if name.method is None), key=lambda name: name.control == CEILING)
    return {
        "columns": columns,
        "concepts": list(
            dict.fromkeys(row["concept"] for column in cells for row in column.values() if row["concept"])
        ),
        "rows": [
            {
                "name": name.method or name.control,
                "kind": name.kind,
                "control": name.method is None,
                "cells": [cell(column, name) for column in cells],
            }
            for name in [*methods, *controls]
        ],
        "meanings": [METRICS[metric] for metric in dict.fromkeys(column["metric"] for column in columns)],
        "interval_name": results.interval_name,
    }


class Named(NamedTuple):
    """What tells one explanation or control from others."""

    method: str | None
    control: str | None
    judge: str | None

    @property
    def kind(self) -> str:
        """Only of a counterfactual somebody has to see what changed."""
        return "" if self.method is None else "map" if self.judge is None else f"counterfactual, seen by {self.judge}"


def named(row: Row) -> Named:
    return Named(row["method"], row["control"], row["judge"])


def cell(column: dict[Named, Row], name: Named) -> dict | None:
    """A number with its interval, and that of another image's explanation in its place."""
    if name not in column:
        return None
    others = [row for each, row in column.items() if each.control and each == name._replace(control=each.control)]
    return {**figures(column[name]), "other": others[0]["value"] if others and name.method else None}
