"""Columns of numbers that compare methods: their headings and their cells."""

from dataclasses import dataclass

from pipeline.report.comparison import Comparison
from pipeline.report.numbers import count, decimal

ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True)
class Measure:
    """What a metric is called, which way is better, and what it says in one sentence."""

    label: str
    better: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Column(Comparison):
    """One metric of a classifier, and how the methods compare by it.

    about: what tells it from others of that metric, such as an in-fill or a judge; None where there is one alone.
    definition: as published, or corrected, where the two differ.
    """

    metric: str
    measure: Measure
    about: str | None
    definition: str | None = None

    @property
    def label(self) -> str:
        """The name of the metric, with what it is about."""
        return self.measure.label + (f" ({self.about})" if self.about else "")


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
    row = column.rows[method]
    known = row["ci_low"] is not None
    return {
        **{key: row[key] for key in ("value", "ci_low", "ci_high", "n")},
        "mark": column.mark(method),
        "between": f"{decimal(row['ci_low'])} to {decimal(row['ci_high'])}" if known else None,
    }
