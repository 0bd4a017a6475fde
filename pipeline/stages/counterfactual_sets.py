"""What can be said of the counterfactuals of a method taken together: realism, and the published set-wise numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.metrics.attributes import correlation_difference
from pipeline.metrics.closeness import ORDERS, in_published_units
from pipeline.metrics.features import features_of
from pipeline.metrics.over_targets import SMALLEST_SET, Compute, averaged
from pipeline.metrics.realism import frechet_distance, kernel_estimate, split_frechet_distance, wrapped_bytes
from pipeline.metrics.statistics import Estimate, bootstrap_statistic
from pipeline.stages.counterfactual_measures import BATCH, Batch, Found, Networks
from pipeline.stages.counterfactual_rows import Evidence, Made

PUBLISHED_ORDERS = ("l1", "l1.5", "l2")


@dataclass(frozen=True)
class OfSet:
    """One number about a set of images; without a value, why."""

    metric: str
    estimate: Estimate | None
    reason: str | None = None
    definition: str | None = None
    network: str | None = None
    judge: str | None = None


@dataclass
class Kept:
    """What remains of the rows of a method once their pictures are gone; the first sample of each image and target."""

    made: list[Made] = field(default_factory=list)
    values: int = 0
    columns: dict[str, list[np.ndarray]] = field(default_factory=dict)

    def add(self, batch: Batch, found: Sequence[Found], networks: Networks) -> None:
        """Keep of a batch what the sets need. found: its measures."""
        first = np.array([row.sample == 0 for row in batch.made])
        if not first.any():
            return
        self.made += [row for row, kept in zip(batch.made, first, strict=True) if kept]
        self.values = batch.sources[0].numel()
        columns = {each.metric: each.values.values for each in found if each.metric in PUBLISHED_ORDERS}
        pair = {"sources": batch.sources, "counterfactuals": batch.counterfactuals}
        for name, images in pair.items():
            if networks.realism is not None:
                columns[name] = features_of(networks.realism, images, batch_size=BATCH)
            if networks.as_published is not None:
                shown = wrapped_bytes(images)
                columns[f"published {name}"] = features_of(networks.as_published, shown, batch_size=BATCH)
        for reader in batch.evidence.readers:
            for name, rows in (("before", batch.source_rows), ("after", batch.rows)):
                columns[f"{name} {reader}"] = decisions(batch.evidence, reader, rows)
        for name, column in columns.items():
            self.columns.setdefault(name, []).append(column[first])

    def column(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Some rows of a column."""
        return np.concatenate(self.columns[name])[rows]


def two_valued(evidence: Evidence, reader: str) -> list[str]:
    """The concepts of a reader that are absent or present."""
    return [concept for concept, classes in evidence.tasks[reader].items() if len(classes) == 2]


def decisions(evidence: Evidence, reader: str, rows: Sequence[str]) -> np.ndarray:
    """What a reader decides about its two-valued concepts (N, A), 0 or 1; NaN where it gave no answer."""
    logits = [evidence.of_reader(reader, concept, rows) for concept in two_valued(evidence, reader)]
    decided = [np.where(np.isfinite(each).all(1), each.argmax(1), np.nan) for each in logits]
    return np.stack(decided, 1) if decided else np.zeros((len(rows), 0))


def measure_set(
    kept: Kept,
    rows: np.ndarray,
    evidence: Evidence,
    networks: Networks,
    real: Mapping[int, np.ndarray],
    correlations: Mapping[str, float],
    options: Any,
    purpose: str | None,
) -> Iterator[OfSet]:
    """Every number about the rows (positions) of one method taken together.

    real: the features of the images of each class. correlations: of labels with that of the task. purpose: names the
    random streams; None for a single pair of classes, of which there are many: no resampling then, and nothing about
    attributes.
    """
    resampling = {"seed": options.seed, "confidence": options.confidence, "samples": options.bootstrap}
    for name in PUBLISHED_ORDERS:
        yield OfSet(name, published_distance(kept, rows, name, resampling, purpose), definition="paper")
    if networks.realism is not None:
        yield from realism(kept, rows, networks, real, options)
    for reader in evidence.readers if purpose is not None else ():
        yield from attributes(kept, rows, evidence, reader, correlations, resampling, purpose)


def published_distance(
    kept: Kept, rows: np.ndarray, name: str, resampling: Mapping[str, Any], purpose: str | None
) -> Estimate:
    """The norm of the change of all images together, of pixels in [-1, 1], with its interval over images."""
    order, distances = ORDERS[name], kept.column(name, rows)

    def of_images(chosen: np.ndarray) -> float:
        pooled = float((distances[chosen] ** order).mean() ** (1 / order))
        return in_published_units(pooled, order, len(distances), kept.values)

    if purpose is None:
        return Estimate(of_images(np.arange(len(rows))), None, None, len(rows))
    return bootstrap_statistic(of_images, len(rows), purpose=f"{purpose}/{name}", **resampling)


def realism(
    kept: Kept, rows: np.ndarray, networks: Networks, real: Mapping[int, np.ndarray], options: Any
) -> Iterator[OfSet]:
    """Distances to the sources, as published, and to real images of the target class.

    Of several targets the second is the mean over the counterfactuals of each: held against real images of all of them
    at once, an image that was left as it is would be as real as any.
    """
    sources, made = kept.column("sources", rows), kept.column("counterfactuals", rows)
    network, confidence = networks.realism.name, options.confidence
    shown, of_paper = [sources, made], network
    if networks.as_published is not None:
        shown = [kept.column(f"published {name}", rows) for name in ("sources", "counterfactuals")]
        of_paper = networks.as_published.name
    targets = np.array([kept.made[row].target for row in rows])
    by_target = [(real.get(target, made[:0]), made[targets == target]) for target in dict.fromkeys(targets.tolist())]

    def without_interval(first: np.ndarray, second: np.ndarray) -> tuple[float, None, None]:
        return frechet_distance(first, second), None, None

    def kernel(paired: bool) -> Compute:
        return lambda first, second: kernel_estimate(first, second, paired=paired, confidence=confidence)

    yield OfSet("frechet_distance", *averaged([shown], without_interval), definition="paper", network=of_paper)
    yield OfSet("frechet_distance", *averaged(by_target, without_interval), definition="corrected", network=network)
    yield OfSet("kernel_distance", *averaged([(sources, made)], kernel(True)), definition="paper", network=network)
    yield OfSet("kernel_distance", *averaged(by_target, kernel(False)), definition="corrected", network=network)
    if len(rows) >= 2 * SMALLEST_SET:
        split = Estimate(split_frechet_distance(sources, made, seed=options.seed), None, None, len(made))
        yield OfSet("split_frechet_distance", split, definition="paper", network=network)


def attributes(
    kept: Kept,
    rows: np.ndarray,
    evidence: Evidence,
    reader: str,
    correlations: Mapping[str, np.ndarray],
    resampling: Mapping[str, Any],
    purpose: str,
) -> Iterator[OfSet]:
    """Whether the concepts change together as the labels do; only where the task is one of them."""
    concepts = two_valued(evidence, reader)
    if evidence.task not in concepts or any(concept not in correlations for concept in concepts):
        return
    before, after = (kept.column(f"{name} {reader}", rows) for name in ("before", "after"))
    known = np.isfinite(before).all(1) & np.isfinite(after).all(1)
    if not known.any():
        return
    before, after, place = before[known], after[known], concepts.index(evidence.task)
    expected = np.array([correlations[concept] for concept in concepts])
    found = bootstrap_statistic(
        lambda chosen: correlation_difference(before[chosen], after[chosen], place, expected),
        len(before),
        purpose=f"{purpose}/correlation_difference/{reader}",
        **resampling,
    )
    yield OfSet("correlation_difference", found, judge=reader)
