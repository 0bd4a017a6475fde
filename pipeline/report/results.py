"""What the report is made from: the tables of a study without their pixels, and the pictures on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report.numbers import SPACE, percent
from pipeline.tables import read_provenance, read_table

if TYPE_CHECKING:
    import polars

STATE = ("row_id", "status", "reason")
COLUMNS = {
    "images": (*STATE, "image_id", "height", "width"),
    "interventions": (*STATE, "image_id", "concept", "value", "value_name", "original"),
    "predictions": (
        *(*STATE, "image_id", "classifier", "source", "source_row_id"),
        *("task", "predicted", "confidence", "label"),
    ),
    "saliency": (*STATE, "image_id", "classifier", "method", "infill"),
    "counterfactuals": (
        *(*STATE, "image_id", "classifier", "method", "target", "sample"),
        *("predicted", "confidence_target", "flipped", "strength", "direction"),
    ),
    "directions": (
        *(*STATE, "classifier", "method", "kind", "target", "source_image_id"),
        *("decodes", "calibration_flip_rate"),
    ),
    "scores": (
        *(*STATE, "family", "image_id", "classifier", "method", "control", "metric", "concept", "value"),
        *("source_row_id", "target_class"),
    ),
    "metrics": (
        *(*STATE, "family", "method", "classifier", "metric", "concept", "source_class", "target_class", "pairs"),
        *("definition", "network", "control", "compared_with", "judge", "infill"),
        *("value", "ci_low", "ci_high", "p", "n"),
    ),
}

Row = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One file of a table: how many rows it has, how many of them failed, and what they follow from."""

    table: str
    rows: int
    failed: int
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Results:
    """The results of one study.

    options: the options of the report (study, title, examples, roles, steps). tables: the columns that the page needs.
    parts: every file of every table. read: gives further columns of rows of a table: (table, columns, row_ids) -> rows.
    """

    options: Any
    tables: dict[str, polars.DataFrame]
    parts: list[Part]
    read: Callable[[str, Sequence[str], Sequence[str]], list[Row]]

    @property
    def classifiers(self) -> list[str]:
        """Names of the networks that are explained."""
        return self.options.roles["classifiers"]

    @property
    def has_truth(self) -> bool:
        """Whether there are images with one concept changed."""
        return self.tables["interventions"].height > 0

    @property
    def concepts(self) -> list[str]:
        """The concepts that were changed, in the order of the interventions."""
        return self.tables["interventions"]["concept"].unique(maintain_order=True).to_list()

    @property
    def interval_name(self) -> str:
        """What an interval of the metrics is called, with its coverage where the study states it."""
        stated = self.provenance("metrics").get("options", {}).get("confidence")
        return f"{percent(stated)} interval" if stated else "interval"

    @property
    def confidence(self) -> float:
        """The coverage of the intervals, and of a whole column of comparisons; 95 % where the study states none."""
        return self.provenance("metrics").get("options", {}).get("confidence", 0.95)

    def good(self, table: str) -> polars.DataFrame:
        """The rows of a table that did not fail."""
        import polars

        return self.tables[table].filter(polars.col("status") == "ok")

    def metric(self, metric: str, classifier: str, family: str = "classifiers") -> list[Row]:
        """Rows of the metrics about one network that have a value, in the order of the table."""
        return self.measured.get((metric, classifier, family), [])

    @cached_property
    def measured(self) -> dict[tuple[str, str, str], list[Row]]:
        """Rows of the metrics that have a value, by metric, network and family."""
        found: dict[tuple[str, str, str], list[Row]] = {}
        for row in self.good("metrics").to_dicts():
            if row["value"] is not None:
                found.setdefault((row["metric"], row["classifier"], row["family"]), []).append(row)
        return found

    def pictures(self, table: str, row_ids: Sequence[str]) -> dict[str, bytes]:
        """PNG bytes of rows of a table by their row_id, of those that have a picture."""
        rows = self.read(table, ["row_id", "image"], row_ids)
        return {row["row_id"]: row["image"]["bytes"] for row in rows if row["image"] is not None}

    def provenance(self, table: str) -> dict[str, Any]:
        """What the first part of a table follows from; nothing where the table has no part."""
        return next((part.provenance for part in self.parts if part.table == table), {})

    def tasks(self, network: str) -> dict[str, list[str]]:
        """The tasks of a network, each with its class names."""
        return self.provenance("predictions").get("tasks", {}).get(network, {})

    def task(self, classifier: str) -> str | None:
        """The task of a classifier; of a network with several, the first. None where it predicted nothing."""
        import polars

        judged = self.tables["predictions"].filter(polars.col("classifier") == classifier)["task"].head(1)
        return next(iter([*self.tasks(classifier), *judged]), None)

    def class_name(self, network: str, task: str, index: int) -> str:
        """Name of a network's class; its number where no name is known."""
        return named(self.tasks(network).get(task), index)

    def value_name(self, concept: str, value: int) -> str:
        """Name of a concept's value, as images or interventions name it; its number where none does."""
        import polars

        names = self.provenance("images").get("tasks", {}).get(concept)
        if names:
            return named(names, value)
        of_value = (polars.col("concept") == concept) & (polars.col("value") == value)
        found = self.tables["interventions"].filter(of_value)["value_name"]
        return found[0] if len(found) else str(value)


def named(names: Sequence[str] | None, index: int) -> str:
    return names[index] if names and 0 <= index < len(names) else f"class{SPACE}{index}"


def read_results(options: Any, files: Mapping[str, Sequence[Path]]) -> Results:
    """Read every part of every table; files: table -> its parts, an empty list for a table that the study lacks.

    Raises TableError where a part breaks the contract of its table.
    """
    import polars

    tables, parts = {}, []
    for table, paths in files.items():
        frames = [polars.from_arrow(read_table([], table, COLUMNS[table]))]
        for path in paths:
            frame = polars.from_arrow(read_table(path, table, COLUMNS[table]))
            frames.append(frame)
            failed = frame.filter(polars.col("status") == "failed").height
            parts.append(Part(table, frame.height, failed, read_provenance(path)))
        tables[table] = polars.concat(frames)

    def read(table: str, columns: Sequence[str], row_ids: Sequence[str]) -> list[Row]:
        return read_table(files[table], table, columns, row_ids=row_ids).to_pylist() if row_ids else []

    return Results(options, tables, parts, read)
