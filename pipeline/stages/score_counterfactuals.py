"""Score the counterfactuals of a classifier: are they valid, close and real, do they change what the decision needs?"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.datasets.transform import fit
from pipeline.device import pick_device, place
from pipeline.explain.pairs import class_number
from pipeline.fingerprint import canonical_json
from pipeline.images import decode_png, to_tensor
from pipeline.metrics.attributes import label_correlations
from pipeline.metrics.diversity import diversity
from pipeline.metrics.features import SmallPixels, features_of
from pipeline.metrics.networks import AS_PUBLISHED
from pipeline.metrics.networks.load import load_measuring
from pipeline.metrics.truth_maps import everything
from pipeline.progress import bar
from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.stages.counterfactual_measures import BATCH, Batch, Found, Networks, measure
from pipeline.stages.counterfactual_rows import Evidence, Made, add_controls, in_chunks, read_evidence, read_made
from pipeline.stages.counterfactual_sets import Kept, OfSet, measure_set
from pipeline.tables import TableWriter, read_table, row_id

AT_ONCE = 256  # rows whose pictures are in memory together

Row = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """All that scores the rows of a classifier.

    files: by table, where the pictures are. real: features of the images of each class. relations: what kind of pair a
    source and a target class are. correlations: of labels with that of the task. options: of the stage.
    """

    evidence: Evidence
    files: Mapping[str, Sequence[Path]]
    classifier: Classifier
    networks: Networks
    real: Mapping[int, np.ndarray]
    relations: Mapping[tuple[str, str], str]
    correlations: Mapping[str, float]
    options: Any

    def pictures(self, table: str, row_ids: Sequence[str], size: int | None = None) -> torch.Tensor:
        """Images (N, 3, H, W) in [0, 1] of rows of a table, on the classifier's device; perhaps at another size."""
        rows = read_table(self.files[table], table, ["image"], row_ids=row_ids).to_pylist()
        pixels = [fit(decode_png(row["image"]["bytes"]), size) for row in rows]
        return to_tensor(pixels).to(self.classifier.mean.device)

    def batch(self, made: Sequence[Made]) -> Batch:
        """Rows with their pictures; the sources at the size of the counterfactuals, as these were made from them."""
        shown = self.pictures(made[0].table, [row.shown for row in made])
        height, width = shown.shape[-2:]
        sources = self.pictures("images", [row.image_id for row in made], width if height == width else None)
        return Batch(made, sources, shown, self.evidence)

    def pair(self, row: Made) -> tuple[str, str]:
        """The names of the classes that lead from and to."""
        classes = self.evidence.classes
        return classes[self.evidence.explained[row.image_id]], classes[row.target]


def score_counterfactuals(
    options: str,
    code: str,
    images: list[Path],
    predictions: list[Path],
    counterfactuals: list[Path],
    classifier: str,
    identities: list[Path],
    scores: Path,
    judged: list[Path] | None = None,
    interventions: list[Path] | None = None,
) -> None:
    """Write one row per counterfactual and measure, and one per measure of all that a method made, or of some of them.

    The controls of every image and target are scored as if a method had made them. What a measure has nothing to say
    of is an unscored row; a counterfactual that failed has a failed row for each measure of its method. judged: what
    other networks say. identities: of the classifier and of the networks that measure.
    """
    chosen = read_options("score_counterfactuals", options)
    with job("score_counterfactuals", chosen.study, scores) as account:
        with account.clock("tables"):
            evidence = read_evidence(classifier, chosen, predictions, judged or [], interventions)
            made = read_made(counterfactuals, classifier)
        account.device = device = pick_device()
        with account.clock("load"):
            entry = chosen.networks[classifier]
            network = place(load_classifier(classifier, entry, seed=chosen.seed), device)
            networks = load_networks(chosen.measuring, device)
        with account.clock("compute"):
            bench, known, features = set_up(chosen, evidence, network, networks, images, counterfactuals)
            made |= add_controls(made, evidence, known, features)
        inputs = {
            "images": images,
            "interventions": interventions or [],
            "predictions": [*predictions, *(judged or [])],
            "counterfactuals": counterfactuals,
        }
        told = provenance("score_counterfactuals", chosen, code, inputs, weights=read_weights(identities))
        total = sum(map(len, made.values()))
        with TableWriter(scores, "scores", told) as table, bar(f"score {classifier}", total) as progress:
            for method, rows in made.items():
                with account.clock("compute"):
                    table.extend(list(method_rows(method, rows, bench, account.clock.count)))
                progress.advance(len(rows))
            account.rows = table.rows


def load_networks(measuring: Mapping[str, Row | None], device: torch.device) -> Networks:
    """What measures, each network once even if it measures several things."""
    loaded: dict[str, torch.nn.Module] = {}

    def load(entry: Row, **options: bool) -> torch.nn.Module:
        named = canonical_json({**entry, **options})
        if named not in loaded:
            described = {key: value for key, value in entry.items() if key != "name"}
            loaded[named] = place(load_measuring(entry.get("name", ""), described, **options), device)
        return loaded[named]

    found = {role: load(entry) for role, entry in measuring.items() if entry is not None}
    realism = measuring.get("realism") or {}
    if AS_PUBLISHED.keys() & realism.keys():
        found["as_published"] = load(realism, as_published=True)
    return Networks(**found)


def set_up(
    options: Any,
    evidence: Evidence,
    classifier: Classifier,
    networks: Networks,
    images: Sequence[Path],
    counterfactuals: Sequence[Path],
) -> tuple[Bench, list[str], np.ndarray]:
    """The bench, the images of the study, and what they look like to the network that says which are alike (M, D)."""
    rows = read_table(images, "images", ["row_id", "status", "attributes"]).to_pylist()
    rows = [row for row in rows if row["status"] == "ok"]
    files = {"images": images, "counterfactuals": counterfactuals}
    labels = [dict(row["attributes"] or {}) for row in rows]
    relations = named_relations(options.relations, evidence)
    correlations = label_correlations(labels, evidence.task)
    bench = Bench(evidence, files, classifier, networks, {}, relations, correlations, options)
    looking = networks.realism or networks.similarity or place(SmallPixels(), classifier.mean.device)
    known = [row["row_id"] for row in rows]
    features = [
        features_of(looking, bench.pictures("images", known[start : start + AT_ONCE]), batch_size=BATCH)
        for start in range(0, len(known), AT_ONCE)
    ]
    looks = np.concatenate(features)
    real = {} if networks.realism is None else by_class(evidence, known, looks)
    return replace(bench, real=real), known, looks


def named_relations(relations: Mapping[str, Sequence[Sequence[str]]], evidence: Evidence) -> dict[tuple[str, str], str]:
    """What a pair of classes is called, by the names of the two; the tables may number them."""
    classes, found = evidence.classes, {}
    for source, target, word in [*relations.get(evidence.task, ()), *relations.get("*", ())]:
        pair = (classes[class_number(each, classes, "counterfactuals")] for each in (source, target))
        found[tuple(pair)] = word
    return found


def by_class(evidence: Evidence, image_ids: Sequence[str], features: np.ndarray) -> dict[int, np.ndarray]:
    """The features of the images of each class: by their labels, or by what is decided where there are none."""
    labelled = any(label is not None for label in evidence.labels.values())
    decided = {image_id: int(evidence.own[image_id].argmax()) for image_id in image_ids if image_id in evidence.own}
    classes = [(evidence.labels if labelled else decided).get(image_id) for image_id in image_ids]
    found = {label: np.array([each == label for each in classes]) for label in set(classes) - {None}}
    return {label: features[chosen] for label, chosen in sorted(found.items())}


def method_rows(method: str, made: Sequence[Made], bench: Bench, count: Callable[[int], object]) -> Iterator[Row]:
    """The scores of what one method, or control, made: row by row, and taken together.

    count: called with numbers of passes of the classifier.
    """
    kept, measures = Kept(), {}
    whole = [row for row in made if row.status == "ok"]
    for chunk in in_chunks(whole, AT_ONCE):
        batch = bench.batch(chunk)
        found = list(measure(batch, bench.classifier, bench.networks, count))
        kept.add(batch, found, bench.networks)
        for each in found:
            measures.setdefault((each.metric, each.judge, each.concept, each.definition, each.network), each)
            yield from score_rows(each, chunk, bench)
    missing = [row for row in made if row.status != "ok"]
    for each in list(measures.values()) or [Found("target_accuracy", everything(np.zeros(0)))]:
        if not each.only_scored:
            for row in missing:
                yield {**score_row(each, row, bench), "status": row.status, "reason": row.reason}
    yield from diversity_rows(whole, bench)
    for names, rows in groups(kept.made, bench):
        purpose = None if "source_class" in names else row_id("set", bench.evidence.classifier, method, *names.values())
        of_bench = bench.evidence, bench.networks, bench.real, bench.correlations, bench.options
        for each in measure_set(kept, rows, *of_bench, purpose):
            yield set_row(each, method, names, bench)


def score_rows(found: Found, made: Sequence[Made], bench: Bench) -> Iterator[Row]:
    """The rows of one measure of a batch."""
    for row, value, scored in zip(made, *found.values, strict=True):
        if scored:
            yield {**score_row(found, row, bench), "status": "ok", "value": float(value)}
        elif not found.only_scored:
            status = "failed" if found.failed else "unscored"
            yield {**score_row(found, row, bench), "status": status, "reason": found.reason}


def score_row(found: Found, row: Made, bench: Bench) -> Row:
    """What a score is about; without its value."""
    source, target = bench.pair(row)
    about = (found.metric, bench.evidence.classifier, row.method, row.image_id)
    return {
        "row_id": row_id(*about, row.target, row.sample, found.judge, found.concept, found.definition),
        "family": "counterfactuals",
        "image_id": row.image_id,
        "classifier": bench.evidence.classifier,
        "method": row.method,
        "source_row_id": row.shown,
        "metric": found.metric,
        "judge": found.judge,
        "concept": found.concept,
        "source_class": source,
        "target_class": target,
        "pairs": bench.relations.get((source, target)),
        "definition": found.definition,
        "network": found.network,
    }


def diversity_rows(made: Sequence[Made], bench: Bench) -> Iterator[Row]:
    """How different the samples of each image and target are, where there are several."""
    network = bench.networks.perceptual
    samples: dict[tuple[str, int], list[Made]] = {}
    for row in made if network is not None else ():
        samples.setdefault((row.image_id, row.target), []).append(row)
    for rows in (rows for rows in samples.values() if len(rows) > 1):
        shown = bench.pictures(rows[0].table, [row.shown for row in rows])
        apart = diversity(network, shown, [rows[0].image_id] * len(rows))[rows[0].image_id]
        yield from score_rows(Found("diversity", everything([apart]), network=network.name), rows[:1], bench)


def groups(made: Sequence[Made], bench: Bench) -> Iterator[tuple[dict[str, str], np.ndarray]]:
    """All rows, those of each kind of pair, and those of each pair, with the names that say which."""
    if not made:
        return
    pairs = [bench.pair(row) for row in made]
    kinds = [bench.relations.get(pair) for pair in pairs]
    yield {}, np.arange(len(made))
    for kind in dict.fromkeys(kind for kind in kinds if kind is not None):
        yield {"pairs": kind}, np.flatnonzero([each == kind for each in kinds])
    for pair in dict.fromkeys(pairs):
        names = {"source_class": pair[0], "target_class": pair[1]}
        kind = bench.relations.get(pair)
        yield names | ({"pairs": kind} if kind else {}), np.flatnonzero([each == pair for each in pairs])


def set_row(found: OfSet, method: str, names: Mapping[str, str], bench: Bench) -> Row:
    """The row of one number about a set."""
    about = (found.metric, bench.evidence.classifier, method, None)  # an image has its name in the fourth place
    pairs = (names.get(name) for name in ("source_class", "target_class", "pairs"))
    row = {
        "row_id": row_id(*about, *pairs, found.judge, found.definition),
        "family": "counterfactuals",
        "classifier": bench.evidence.classifier,
        "method": method,
        "metric": found.metric,
        "judge": found.judge,
        "definition": found.definition,
        "network": found.network,
        **names,
    }
    if found.estimate is None:
        return {**row, "status": "unscored", "reason": found.reason}
    estimate = found.estimate
    numbers = {"value": estimate.value, "ci_low": estimate.low, "ci_high": estimate.high, "n": estimate.n}
    return {**row, "status": "ok", **numbers}
