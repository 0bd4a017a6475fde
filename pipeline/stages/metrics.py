"""Summarise the scores of rows, with intervals over images."""

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import UserError, nearest
from pipeline.metrics.control_maps import CONTROLS
from pipeline.metrics.names import METRICS, over_rows
from pipeline.metrics.paired import paired_bootstrap
from pipeline.metrics.statistics import Estimate, bootstrap_mean, share
from pipeline.stages.common import job, provenance, read_options
from pipeline.tables import iterate_table, row_id, write_table

Unit = tuple[str, str | None]  # an image, and the target of its counterfactual
Values = dict[Unit, list[float]]
Contender = tuple[str | None, str | None]  # a method, and what stands as a control in its place
NAMES = (
    *("classifier", "method", "control", "judge", "infill", "concept", "source_class", "target_class", "pairs"),
    *("definition", "network"),
)
PAIR = ("source_class", "target_class", "pairs")
COLUMNS = ("status", "reason", "family", "metric", "image_id", *NAMES, "value", "ci_low", "ci_high", "n")


def metrics(options: str, code: str, scores: list[Path], metrics: Path) -> None:
    """Write one row per metric and what it is about, and one for each pair of methods on the same images.

    Failed scores are counted in a row of their own, and so are unscored ones.
    """
    chosen = read_options("metrics", options)
    with job("metrics", chosen.study, metrics) as account:
        with account.clock("tables"):
            groups, missing, of_sets = read_groups(scores)
        with account.clock("compute"):
            rows = [row for key, values in groups.items() for row in summaries(key, values, missing[key], chosen)]
            rows += of_sets
            rows += differences(groups, chosen)
        told = provenance("metrics", chosen, code, {"scores": scores})
        with account.clock("tables"):
            write_table(metrics, "metrics", rows, told)
        account.rows = len(rows)


def read_groups(scores: list[Path]) -> tuple[dict[tuple, Values], dict[tuple, Counter[str]], list[dict]]:
    """Values of the scores by unit, and numbers of rows without value by status, both by family, metric and names.

    The third are the rows of values about a set of images, which stand as they are.
    """
    groups: dict[tuple, Values] = {}
    missing: dict[tuple, Counter[str]] = {}
    of_sets: list[dict] = []
    for batch in iterate_table(scores, "scores", COLUMNS):
        for row in batch.to_pylist():
            check_metric(row["metric"])
            if row["image_id"] is None:
                of_sets.append(row_of_set(row))
                continue
            for key in keys_of(row):
                values, without = groups.setdefault(key, {}), missing.setdefault(key, Counter())
                if row["status"] == "ok":
                    values.setdefault((row["image_id"], row["target_class"]), []).append(row["value"])
                else:
                    without[row["status"]] += 1
    return groups, missing, of_sets


def check_metric(metric: str) -> None:
    """Raise UserError for a metric that nothing says how to summarise."""
    if metric not in METRICS:
        close = nearest(metric, METRICS)
        hint = f"did you mean '{close}'?" if close else "pipeline/metrics/names.py lists those that there are."
        raise UserError(f"the scores hold the metric '{metric}', which there is not; {hint}")


def keys_of(row: dict) -> Iterator[tuple]:
    """What a score counts for. Of a counterfactual: for its pair of classes, for all pairs, and for those of its kind.

    Single concepts are summarised over all pairs only.
    """
    names = {name: row[name] for name in NAMES}

    def key(**others: str | None) -> tuple:
        return row["family"], row["metric"], *(names | others).values()

    if row["family"] != "counterfactuals":
        yield key()
        return
    if row["concept"] is None:
        yield key()
    yield key(**dict.fromkeys(PAIR))
    if row["pairs"] is not None:
        yield key(source_class=None, target_class=None)


def by_image(units: Values) -> np.ndarray:
    """One value for each image: the mean over its targets and samples, which are no further images."""
    of_image: dict[str, list[float]] = {}
    for (image_id, _), values in units.items():
        of_image.setdefault(image_id, []).append(sum(values) / len(values))
    return np.array([sum(values) / len(values) for values in of_image.values()])


def differences(groups: dict[tuple, Values], options: Any) -> Iterator[dict]:
    """One row for each ordered pair of methods, and for each method and control: interval and p, not yet adjusted.

    Pairs without an image that both have a score for are left out: there is nothing to compare. So are metrics of
    which neither way is better. Counterfactuals are compared over all pairs of classes and those of one kind, not pair
    by pair, nor concept by concept.
    """
    of_methods: dict[tuple, dict[Contender, Values]] = {}
    for (family, metric, *names), values in groups.items():
        named = dict(zip(NAMES, names, strict=True))
        contender = named.pop("method"), named.pop("control")
        detailed = family == "counterfactuals" and (named["source_class"] is not None or named["concept"] is not None)
        if any(contender) and not detailed and METRICS[metric].better is not None:
            of_methods.setdefault((family, metric, *named.items()), {})[contender] = values
    for (family, metric, *named), methods in of_methods.items():
        name, better = over_rows(metric), METRICS[metric].better
        sampling = {"seed": options.seed, "samples": options.bootstrap, "confidence": options.confidence}
        sampling["purpose"] = row_id(family, metric, *dict(named).values())
        for first, second in contests(methods):
            shared = [unit for unit in methods[first] if unit in methods[second]]
            if shared:
                apart = {unit: [np.mean(methods[first][unit]) - np.mean(methods[second][unit])] for unit in shared}
                estimate, p = paired_bootstrap(by_image(apart), **sampling)
                names = {**dict(named), "method": first[0], "control": second[1]}
                other = None if second[1] else second[0]
                yield {**metric_row(family, f"{name}_difference", names, estimate, better, compared_with=other), "p": p}
                if other is not None:
                    back, names = reversed_estimate(estimate), {**names, "method": other}
                    row = metric_row(family, f"{name}_difference", names, back, better, compared_with=first[0])
                    yield {**row, "p": p}


def contests(contenders: Iterable[Contender]) -> Iterator[tuple[Contender, Contender]]:
    """Which are compared: each method with the others, and with its controls, its own and those of no method."""
    methods = [contender for contender in contenders if contender[1] is None]
    yield from combinations(methods, 2)
    for method, control in contenders:
        if control in CONTROLS:
            yield from ((own, (method, control)) for own in methods if method in (None, own[0]))


def reversed_estimate(estimate: Estimate) -> Estimate:
    """The difference the other way round."""
    low, high = (None if end is None else -end for end in (estimate.high, estimate.low))
    return Estimate(-estimate.value, low, high, estimate.n)


def summaries(key: tuple, values: Values, missing: Counter[str], options: Any) -> Iterator[dict]:
    """The row of a group of scores over those that have a value, and one for each status that counts the others."""
    if values:
        yield summary(key, values, options)
    for status, number in missing.items():
        family, metric, *names = key
        name = over_rows(metric)
        total = sum(map(len, values.values())) + missing.total()
        reason = f"{number} of {total} rows {'failed' if status == 'failed' else 'have no score'}"
        named, nothing = dict(zip(NAMES, names, strict=True)), Estimate(None, None, None, number)
        yield metric_row(family, name, named, nothing, None, status=status, reason=reason)


def summary(key: tuple, values: Values, options: Any) -> dict:
    """The row of the metrics table for one group of scores."""
    family, metric, *names = key
    known = METRICS[metric]
    estimate = summarise(by_image(values), known.summary, row_id(*key), options)
    return metric_row(family, over_rows(metric), dict(zip(NAMES, names, strict=True)), estimate, known.better)


def row_of_set(row: dict) -> dict:
    """The row of the metrics table for a value about a set of images, or for one that is missing."""
    metric, names = row["metric"], {name: row[name] for name in NAMES}
    better, told = METRICS[metric].better, {"status": row["status"], "reason": row["reason"]}
    estimate = Estimate(row["value"], row["ci_low"], row["ci_high"], row["n"])
    return metric_row(row["family"], over_rows(metric), names, estimate, better, **told)


def metric_row(
    family: str,
    metric: str,
    names: dict[str, str | None],
    estimate: Estimate,
    better: str | None,
    compared_with: str | None = None,
    status: str = "ok",
    reason: str | None = None,
) -> dict:
    return {
        "row_id": row_id(family, metric, *(names[name] for name in NAMES), compared_with, status),
        "status": status,
        "reason": reason,
        "family": family,
        "metric": metric,
        "compared_with": compared_with,
        **names,
        "value": estimate.value,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
        "n": estimate.n,
        "better": better,
    }


def summarise(values: np.ndarray, kind: str | None, purpose: str, options: Any) -> Estimate:
    """A share of ones, or a mean; shares of an image over several targets or samples are averaged like any number."""
    if kind == "share" and np.isin(values, (0, 1)).all():
        return share(values, options.confidence)
    return bootstrap_mean(
        values, seed=options.seed, purpose=purpose, samples=options.bootstrap, confidence=options.confidence
    )
