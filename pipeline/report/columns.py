"""Columns of numbers that compare methods: which is best, and which cannot be told from it."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pipeline.report.numbers import count, decimal
from pipeline.report.results import Row

ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True)
class Measure:
    """What a metric is called, which way is better, and what it says in one sentence."""

    label: str
    better: str
    meaning: str


@dataclass(frozen=True)
class Column:
    """One metric of a classifier.

    about: what tells it from others of that metric, such as an in-fill or a judge; None where there is one alone.
    rows: method -> row of the metrics. differences: (method, other method) -> row on the mean difference of the two.
    definition: as published, or corrected, where the two differ.
    controls: (method or None, control) -> row of the metrics, of what was scored in the place of an explanation.
    """

    metric: str
    measure: Measure
    about: str | None
    rows: dict[str, Row]
    differences: dict[tuple[str, str], Row]
    definition: str | None = None
    controls: dict[tuple[str | None, str], Row] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The name of the metric, with what it is about."""
        return self.measure.label + (f" ({self.about})" if self.about else "")

    @property
    def better(self) -> str:
        """Which way is better, as the metrics say."""
        return next((row["better"] for row in self.rows.values() if row["better"]), self.measure.better)

    @property
    def best(self) -> str:
        """The method with the best value."""
        choose = max if self.better == "higher" else min
        return choose(self.rows, key=lambda method: self.rows[method]["value"])

    def among(self, methods: Iterable[str]) -> "Column":
        """The same column of some of its methods alone."""
        return replace(self, rows={method: self.rows[method] for method in methods if method in self.rows})

    def compared(self, method: str, other: str) -> bool:
        """Whether the metrics hold a difference of two methods with its interval."""
        rows = [self.differences.get(pair) for pair in ((method, other), (other, method))]
        return any(row is not None and row["ci_low"] is not None for row in rows)

    def beats(self, method: str, other: str) -> bool:
        """Whether the interval of the difference excludes 0, in favour of `method`."""
        sign = 1 if self.better == "higher" else -1
        for first, second, direction in ((method, other, sign), (other, method, -sign)):
            row = self.differences.get((first, second))
            if row is not None and row["ci_low"] is not None:
                return row["ci_low"] > 0 if direction > 0 else row["ci_high"] < 0
        return False

    def level(self, method: str, other: str) -> bool:
        """Whether two methods were compared and cannot be told apart."""
        return self.compared(method, other) and not self.beats(method, other) and not self.beats(other, method)

    def equal(self, method: str, other: str) -> bool:
        """Whether two methods have the same value."""
        return self.rows[method]["value"] == self.rows[other]["value"]

    def mark(self, method: str) -> str:
        """How a method stands in this column: the best, not distinguishable from it, or neither.

        There is no best where none is shown to be better or worse than it, as where all have the worst value.
        """
        others = [other for other in self.rows if other != self.best]
        if all(self.equal(other, self.best) or self.level(other, self.best) for other in others):
            return ""
        return "best" if method == self.best else "level" if self.level(method, self.best) else ""


def header(column: Column) -> dict:
    """The heading of a column; the number of images where it is the same for all methods."""
    numbers = {row["n"] for row in column.rows.values()}
    return {
        "metric": column.metric,
        "label": column.measure.label,
        "about": column.about,
        "arrow": ARROWS[column.better],
        "better": column.better,
        "images": count(numbers.pop(), "image") if len(numbers) == 1 and None not in numbers else None,
    }


def cell(column: Column, method: str) -> dict | None:
    """One number of the table, with its interval and its mark."""
    if method not in column.rows:
        return None
    return {**figures(column.rows[method]), "mark": column.mark(method)}


def figures(row: Row) -> dict:
    """A number with its interval and number of images."""
    known = row["ci_low"] is not None
    return {
        **{key: row[key] for key in ("value", "ci_low", "ci_high", "n")},
        "between": f"{decimal(row['ci_low'])} to {decimal(row['ci_high'])}" if known else None,
    }
