"""Summarise the scores of rows, with intervals over images."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import permutations
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
    "truth_auroc": ("truth_auroc", "mean", "higher"),
    "truth_auroc_fillable": ("truth_auroc_fillable", "mean", "higher"),
    "truth_average_precision": ("truth_average_precision", "mean", "higher"),
    "pointing_game": ("pointing_game", "mean", "higher"),
    "localisation_error": ("localisation_error", "share", "lower"),
    "localisation_error_tuned": ("localisation_error_tuned", "share", "lower"),
    "saliency_metric": ("saliency_metric", "mean", "lower"),
    "removal_auc": ("removal_auc", "mean", "lower"),
    "keeping_auc": ("keeping_auc", "mean", "higher"),
    "truth_fill_flips": ("truth_fill_flip_rate", "share", None),
}
Values = dict[str, float]
NAMES = ("classifier", "method", "judge", "infill", "concept", "source_class", "target_class", "definition", "network")


def metrics(options: str, code: str, scores: list[Path], metrics: Path) -> None:
    """Write one row per metric and what it is about, and one for each pair of methods on the same images.

    Failed scores are counted in a row of their own, and so are unscored ones.
    """
    chosen = json.loads(options)
    with job("metrics", chosen["study"], metrics) as account:
        with account.clock("tables"):
            groups, missing = read_groups(scores)
        with account.clock("compute"):
            rows = [row for key, values in groups.items() for row in summaries(key, values, missing[key], chosen)]
            rows += differences(groups, chosen)
        told = provenance("metrics", chosen, code, ["scores"])
        with account.clock("tables"):
            write_table(metrics, "metrics", rows, told)
        account.rows = len(rows)


def read_groups(scores: list[Path]) -> tuple[dict[tuple, Values], dict[tuple, Counter[str]]]:
    """Values of the scores by image, and numbers of rows without value by status, both by family, metric and names."""
    groups: dict[tuple, Values] = {}
    missing: dict[tuple, Counter[str]] = {}
    for row in read_table(scores, "scores").to_pylist():
        key = (row["family"], row["metric"], *(row[name] for name in NAMES))
        values, without = groups.setdefault(key, {}), missing.setdefault(key, Counter())
        if row["status"] == "ok":
            values[row["image_id"]] = row["value"]
        else:
            without[row["status"]] += 1
    return groups, missing


def differences(groups: dict[tuple, Values], options: dict) -> Iterator[dict]:
    """One row for each ordered pair of methods: `judge` is the other method; the interval is of the paired bootstrap.

    Pairs without an image that both have a score for are left out: there is nothing to compare.
    """
    of_methods: dict[tuple, dict[str, Values]] = {}
    for (family, metric, *names), values in groups.items():
        named = dict(zip(NAMES, names, strict=True))
        method = named.pop("method")
        if method is not None:
            of_methods.setdefault((family, metric, *named.items()), {})[method] = values
    for (family, metric, *named), methods in of_methods.items():
        name, _, better = SUMMARIES[metric]
        for first, second in permutations(methods, 2):
            shared = [image for image in methods[first] if image in methods[second]]
            if shared:
                apart = np.array([methods[first][image] - methods[second][image] for image in shared])
                purpose = "/".join(map(str, (family, metric, *named, *sorted((first, second)))))
                estimate = summarise(apart, "mean", purpose, options)
                names = {**dict(named), "method": first, "judge": second}
                yield metric_row(family, f"{name}_difference", names, estimate, better)


def summaries(key: tuple, values: Values, missing: Counter[str], options: dict) -> Iterator[dict]:
    """The row of a group of scores over those that have a value, and one for each status that counts the others."""
    if values:
        yield summary(key, list(values.values()), options)
    for status, number in missing.items():
        family, metric, *names = key
        name = SUMMARIES[metric][0]
        total = len(values) + missing.total()
        yield {
            "row_id": row_id(family, name, *names, status),
            "status": status,
            "reason": f"{number} of {total} rows {'failed' if status == 'failed' else 'have no score'}",
            "family": family,
            "metric": name,
            **dict(zip(NAMES, names, strict=True)),
            "n": number,
        }


def summary(key: tuple, values: list[float], options: dict) -> dict:
    """The row of the metrics table for one group of scores."""
    family, metric, *names = key
    name, kind, better = SUMMARIES[metric]
    estimate = summarise(np.array(values), kind, "/".join(map(str, key)), options)
    return metric_row(family, name, dict(zip(NAMES, names, strict=True)), estimate, better)


def metric_row(family: str, metric: str, names: dict[str, str | None], estimate: Estimate, better: str | None) -> dict:
    return {
        "row_id": row_id(family, metric, *(names[name] for name in NAMES)),
        "status": "ok",
        "family": family,
        "metric": metric,
        **names,
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
