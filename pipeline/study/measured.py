"""What earlier runs took here, by their tables `costs`, and how large their images are; reads files, imports no torch.

A rate of a stage is taken from the newest run of that stage that fits.
"""

from __future__ import annotations

import contextlib
import operator
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
from pydantic import ValidationError

from pipeline.classifiers.identity import without_state
from pipeline.errors import UserError
from pipeline.fingerprint import canonical_json
from pipeline.methods import parse_method
from pipeline.methods.base import Count
from pipeline.study.estimate import MADE_AT_ONCE, filled_up
from pipeline.tables.storage import TableError
from pipeline.tables.write import provenance_of

BACKWARD = (
    2.0  # a backward pass takes twice its forward pass: as many products for the weights' inputs, and around them
)
BESIDE = ("imports", "load", "other")  # causes that do not grow with the rows


@dataclass(frozen=True)
class Run:
    """One job that ran.

    networks: identities, as canonical JSON; of a job that makes counterfactuals, those of the generators, if it has
    any: their passes take most of the time. forwards: of one row, that each of its evaluations is worth.
    overhead: seconds that do not depend on the rows, the start of the process included. seconds: all others;
    of a job that counts its evaluations, those of computing.
    """

    stage: str
    study: str
    side: int | None
    device: str
    networks: frozenset[str]
    forwards: float
    evaluations: int
    rows: int
    overhead: float
    seconds: float
    written: float

    @property
    def seconds_per_forward(self) -> float:
        """Of one forward pass, with all that the stage does around it."""
        return self.seconds / (self.evaluations * self.forwards)


@dataclass(frozen=True)
class Rate:
    """Seconds of something, and whether it was measured on just that or stands for it."""

    seconds: float
    measured: bool


class Measured:
    """All runs in a folder of results, the newest first."""

    def __init__(self, results: Path):
        self.runs = sorted(read_runs(results), key=lambda run: run.written, reverse=True)

    def newest(self, stage: str, fits: Callable[[Run], bool] = lambda run: True) -> Run | None:
        return next((run for run in self.runs if run.stage == stage and fits(run)), None)

    def overhead(self, stage: str) -> Rate | None:
        """Of one job, whatever it handles."""
        run = self.newest(stage)
        return None if run is None else Rate(run.overhead, True)

    def row(self, stage: str, side: int, by_pixels: bool) -> Rate | None:
        """Of one row of a stage; of images of another side if need be, by pixels where those decide."""
        alike = self.newest(stage, lambda run: run.rows > 0 and run.side == side)
        run = alike or self.newest(stage, lambda run: run.rows > 0 and bool(run.side))
        if run is None:
            return None
        larger = (side / run.side) ** 2 if by_pixels else 1.0
        return Rate(run.seconds / run.rows * larger, run is alike)

    def forward(self, stage: str, networks: frozenset[str], side: int) -> Rate | None:
        """Of one forward pass of these networks, on average; of some of them, or others among them, if need be."""
        usable = [lambda run: run.networks == networks, lambda run: bool(run.networks & networks)]
        for fits, measured in zip(usable, (True, False), strict=True):
            run = self.newest(stage, lambda run, fits=fits: run.evaluations > 0 and run.side == side and fits(run))
            if run is not None:
                return Rate(run.seconds_per_forward, measured)
        return None

    @property
    def devices(self) -> list[str]:
        """What computed, the newest first."""
        return list(dict.fromkeys(run.device for run in self.runs if run.evaluations))


def read_runs(results: Path) -> Iterator[Run]:
    """Every job in the tables `costs` of all studies; a file that is not readable is passed over.

    So is a job of a method, or of options of one, that there are no longer.
    """
    passed_over = (pyarrow.ArrowInvalid, OSError, TableError, KeyError, IndexError, UserError, ValidationError)
    for folder in sorted(results.glob("studies/*")):
        tables = {part_name(path, folder): path for path in folder.rglob("*.parquet") if "costs" not in path.parts}
        side = side_of(folder)
        for path in sorted(folder.glob("costs/*.parquet")):
            with contextlib.suppress(*passed_over):
                cost = pyarrow.parquet.ParquetFile(path).read().to_pylist()[0]
                yield run_of(cost, tables.get(cost["part"]), side, folder, path.stat().st_mtime)


def run_of(cost: Mapping[str, Any], table: Path | None, side: int | None, folder: Path, written: float) -> Run:
    causes = dict((entry["key"], entry["value"]) for entry in cost["seconds_by_cause"])
    told = told_by(table) if table else {}
    evaluations, forwards = cost["network_evaluations"], 1.0
    weights = dict(told.get("weights") or {})
    if cost["stage"] == "saliency" and told:
        methods = list(told["options"]["methods"].values())
        weights = {table.parent.name: weights[table.parent.name]}
        forwards = forwards_of_one(methods, side or 1, max(1, cost["rows_computed"] // len(methods)))
    if cost["stage"] == "counterfactuals" and told:
        heaviest = set(told["options"]["generators"]) & set(weights) or {table.parent.name}
        weights = {name: identity for name, identity in weights.items() if name in heaviest}
        forwards = forwards_of_making(told["options"]["methods"], methods_in(table))
    return Run(
        stage=cost["stage"],
        study=folder.name,
        side=side,
        device=cost["device"],
        networks=frozenset(canonical_json(without_state(identity)) for identity in weights.values()),
        forwards=forwards,
        evaluations=evaluations,
        rows=cost["rows"] if cost["rows_computed"] or not told.get("weights") else 0,
        overhead=(cost["startup_seconds"] or 0.0) + sum(causes[cause] for cause in BESIDE),
        seconds=causes["compute"] + (0.0 if evaluations else causes["tables"]),
        written=written,
    )


def forwards_of_one(methods: Sequence[Mapping[str, Any]], side: int, images: int) -> float:
    """Forward passes that one evaluation of a job is worth, where methods make maps of so many images."""
    spent = [parse_method(options, "saliency").spends(side, side) for options in methods]
    evaluations = sum(each.network_evaluations for each in spent)
    worth = [each.forward + each.with_backward * (1 + BACKWARD) for each in spent]
    filled = [filled_up([images], each.rows_together) for each in spent]
    return sum(map(operator.mul, worth, filled)) / evaluations if evaluations else 1.0


def forwards_of_making(methods: Mapping[str, Mapping[str, Any]], made: Mapping[str, int]) -> float:
    """Forward passes of the generator that one evaluation is worth; of the classifier where no method has a generator.

    made: counterfactuals by method. What other networks take is counted as the generator's.
    """
    evaluations, worth = 0, {"generator": 0.0, "classifier": 0.0}
    for name, rows in made.items():
        counts = parse_method(methods[name], "counterfactuals").spends()
        evaluations += rows * (1 + sum(count.network_evaluations for count in counts.values()))
        filled = rows * filled_up([rows], 1, MADE_AT_ONCE)
        for role in worth:
            count = counts.get(role, Count())
            worth[role] += filled * (count.forward + count.with_backward * (1 + BACKWARD) + count.again * BACKWARD)
    return (worth["generator"] or worth["classifier"]) / evaluations if evaluations else 1.0


def methods_in(table: Path) -> Counter[str]:
    """How many rows of a table are of each method."""
    return Counter(pyarrow.parquet.ParquetFile(table).read(["method"])["method"].to_pylist())


def part_name(path: Path, folder: Path) -> str:
    """The name that `costs` gives to the job that wrote a file."""
    return "-".join(path.relative_to(folder).with_suffix("").parts)


def told_by(path: Path) -> dict[str, Any]:
    """The provenance of a table, empty for a file that has none."""
    found = provenance_of(pyarrow.parquet.read_schema(path))
    return found[1] if found else {}


def image_parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("tables/images/*/*.parquet"))


def side_of(folder: Path) -> int | None:
    """Side in pixels of the images of a study that ran; None before it has any."""
    for path in image_parts(folder):
        with contextlib.suppress(pyarrow.ArrowInvalid, OSError):
            heights = pyarrow.parquet.ParquetFile(path).read(["height"])["height"].drop_null()
            if len(heights):
                return heights[0].as_py()
    return None


def png_bytes_per_pixel(results: Path, dataset: Mapping[str, Any]) -> float | None:
    """Of the images of the newest run on the same kind of dataset; None where there was none."""
    kinds = ("world", "digits", "folder", "huggingface", "imagenet")
    sought = [dataset.get(kind) for kind in kinds]
    folders = {path.parents[3] for path in results.glob("studies/*/tables/images/*/*.parquet")}
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        parts, side = image_parts(folder), side_of(folder)
        with contextlib.suppress(pyarrow.ArrowInvalid, OSError):
            options = told_by(parts[0]).get("options", {}).get("dataset", {})
            if side and [options.get(kind) for kind in kinds] == sought:
                footers = [pyarrow.parquet.read_metadata(path) for path in parts]
                rows = sum(footer.num_rows for footer in footers)
                return sum(column_bytes(footer, "image.bytes") for footer in footers) / (rows * side**2)
    return None


def column_bytes(footer: pyarrow.parquet.FileMetaData, name: str) -> int:
    """Bytes that a column takes in a file."""
    groups = [footer.row_group(index) for index in range(footer.num_row_groups)]
    columns = [group.column(index) for group in groups for index in range(group.num_columns)]
    return sum(column.total_compressed_size for column in columns if column.path_in_schema == name)
