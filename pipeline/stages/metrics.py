"""Summarise the scores of rows, with intervals over images."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.metrics.statistics import Estimate, bootstrap_mean, share
from pipeline.stages.common import job, provenance
from pipeline.tables import read_table, row_id, write_table

# Score of a row -> name of the metric over rows, how it is summarised, and which way is better.
SUMMARIES = {
    "correct": ("accuracy", "share", "higher"),
    "flips": ("intervention_flip_rate", "share", None),
    "effect": ("intervention_effect", "mean", None),
    "causal_effect": ("average_causal_effect", "mean", None),
}
NAMES = ("classifier", "method", "judge", "infill", "concept", "source_class", "target_class", "definition", "network")


def metrics(options: str, code: str, scores: Path, metrics: Path) -> None:
    """Write one row per metric and what it is about; failed scores are counted in a row of their own."""
    chosen = json.loads(options)
    with job("metrics", chosen["study"], metrics) as account:
        with account.clock("tables"):
            groups = read_groups(scores)
        with account.clock("compute"):
            rows = [row for key, values in groups.items() for row in summaries(key, values, chosen)]
        told = provenance("metrics", chosen, code, ["scores"])
        with account.clock("tables"):
            write_table(metrics, "metrics", rows, told)
        account.rows = len(rows)


def read_groups(scores: Path) -> dict[tuple, list[float | None]]:
    """Values of the scores (None: failed) by family, metric and names, in the order in which they first stand there."""
    groups: dict[tuple, list[float | None]] = {}
    for row in read_table(scores, "scores").to_pylist():
        value = row["value"] if row["status"] == "ok" else None
        groups.setdefault((row["family"], row["metric"], *(row[name] for name in NAMES)), []).append(value)
    return groups


def summaries(key: tuple, values: list[float | None], options: dict) -> Iterator[dict]:
    """The row of a group of scores over those that have a value, and one that counts the others."""
    known = [value for value in values if value is not None]
    if known:
        yield summary(key, known, options)
    if len(known) < len(values):
        family, metric, *names = key
        name = SUMMARIES[metric][0]
        yield {
            "row_id": row_id(family, name, *names, "failed"),
            "status": "failed",
            "reason": f"{len(values) - len(known)} of {len(values)} rows have no score",
            "family": family,
            "metric": name,
            **dict(zip(NAMES, names, strict=True)),
            "n": len(values) - len(known),
        }


def summary(key: tuple, values: list[float], options: dict) -> dict:
    """The row of the metrics table for one group of scores."""
    family, metric, *names = key
    name, kind, better = SUMMARIES[metric]
    estimate = summarise(np.array(values), kind, "/".join(map(str, key)), options)
    return {
        "row_id": row_id(family, name, *names),
        "status": "ok",
        "family": family,
        "metric": name,
        **dict(zip(NAMES, names, strict=True)),
        "value": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "n": estimate.n,
        "better": better,
    }


def summarise(values: np.ndarray, kind: str, purpose: str, options: dict) -> Estimate:
    if kind == "share":
        return share(values, options["confidence"])
    return bootstrap_mean(
        values, seed=options["seed"], purpose=purpose, samples=options["bootstrap"], confidence=options["confidence"]
    )
