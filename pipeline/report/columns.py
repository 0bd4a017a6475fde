"""Columns of numbers that compare methods: their headings and their cells."""

from dataclasses import dataclass, field

from pipeline.metrics.names import Metric
from pipeline.report.comparison import Comparison
from pipeline.report.numbers import count, decimal
from pipeline.report.results import Row

ARROWS = {"higher": "\N{UPWARDS ARROW}", "lower": "\N{DOWNWARDS ARROW}"}


@dataclass(frozen=True, kw_only=True)
class Column(Comparison):
    """One metric of a classifier, and how the methods compare by it.

    about: what tells it from others of that metric, such as an in-fill or a judge; None where there is one alone.
    definition: as published, or corrected, where the two differ.
    controls: (method or None, control) -> row of the metrics, of what was scored in the place of an explanation.
    """

    metric: str
    measure: Metric
    about: str | None
    definition: str | None = None
    controls: dict[tuple[str | None, str], Row] = field(default_factory=dict)

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
    return {**figures(column.rows[method]), "mark": column.mark(method)}


def figures(row: Row) -> dict:
    """A number with its interval and number of images."""
    known = row["ci_low"] is not None
    return {
        **{key: row[key] for key in ("value", "ci_low", "ci_high", "n")},
        "between": f"{decimal(row['ci_low'])} to {decimal(row['ci_high'])}" if known else None,
    }
