"""What can be said of each counterfactual by itself: every measure of the package, applied to rows."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.metrics import validity
from pipeline.metrics.attributes import attributes_changed, label_variation
from pipeline.metrics.closeness import ORDERS, distance
from pipeline.metrics.cout import cout, transitions
from pipeline.metrics.features import features_of
from pipeline.metrics.functions import loaded
from pipeline.metrics.perceptual import perceptual_distance
from pipeline.metrics.similarity import feature_similarity, same_face
from pipeline.metrics.truth_concepts import (
    changed_concepts,
    changes_any,
    kinds_of_flips,
    side_effects,
    truth_precision,
    truth_recall,
)
from pipeline.metrics.truth_maps import Scored, among, everything
from pipeline.stages.counterfactual_rows import Evidence, Made

BATCH = 64  # images that go through a network at once

NO_ANSWER = "{judge} gave no answer about the counterfactual or its source"
WRONG = "the classifier is wrong about the source, or its label is not known"
NOT_VALID = "the classifier does not decide for the target"
NO_CAUSE = "no single intervention makes the classifier decide for the target, or not all were judged"
NOT_ONE_CAUSE = "the counterfactual is not valid, or not exactly one intervention makes the classifier decide for it"
NO_FLIP = "the counterfactual does not flip the decision to the target, or not all interventions were judged"
NOTHING_CHANGED = "no single intervention leads to the target, or the counterfactual changes no concept"


@dataclass(frozen=True)
class Found:
    """One measure of the rows of a batch. reason: why the others have none; failed: whether that is a mistake."""

    metric: str
    values: Scored
    reason: str | None = None
    judge: str | None = None
    concept: str | None = None
    definition: str | None = None
    network: str | None = None
    failed: bool = False
    only_scored: bool = False


@dataclass(frozen=True)
class Networks:
    """What measures: networks of features, None where the study names none. as_published: of realism, by the paper."""

    perceptual: torch.nn.Module | None = None
    realism: torch.nn.Module | None = None
    as_published: torch.nn.Module | None = None
    similarity: torch.nn.Module | None = None
    faces: torch.nn.Module | None = None


@dataclass(frozen=True)
class Batch:
    """Rows that have a picture, with the pictures: sources and counterfactuals (N, 3, H, W) in [0, 1]."""

    made: Sequence[Made]
    sources: torch.Tensor
    counterfactuals: torch.Tensor
    evidence: Evidence

    @cached_property
    def targets(self) -> np.ndarray:
        return np.array([row.target for row in self.made])

    @cached_property
    def explained(self) -> np.ndarray:
        """The class of each source that is explained (N,)."""
        return np.array([self.evidence.explained[row.image_id] for row in self.made])

    @cached_property
    def logits(self) -> np.ndarray:
        return np.stack([row.logits for row in self.made])

    @cached_property
    def source_logits(self) -> np.ndarray:
        return np.stack([self.evidence.own[row.image_id] for row in self.made])

    @cached_property
    def valid(self) -> np.ndarray:
        """Whether the classifier decides for the target (N,)."""
        return validity.target_accuracy(self.logits, self.targets) == 1

    @cached_property
    def right(self) -> np.ndarray:
        """Whether the classifier is right about the source (N,)."""
        labels = [self.evidence.labels[row.image_id] for row in self.made]
        return np.array([label is not None for label in labels]) & (self.source_logits.argmax(1) == labels)

    @property
    def rows(self) -> list[str]:
        """The rows of the predictions about the counterfactuals."""
        return [row.shown for row in self.made]

    @property
    def source_rows(self) -> list[str]:
        return [row.image_id for row in self.made]


def measure(
    batch: Batch, classifier: Classifier, networks: Networks, count: Callable[[int], object] | None = None
) -> Iterator[Found]:
    """Every measure that the evidence and the networks allow. count: called with numbers of the classifier's passes."""
    yield from by_classifier(batch)
    yield from by_oracles(batch)
    yield from by_pixels(batch)
    yield from by_features(batch, networks)
    yield from by_replacing(batch, classifier, count)
    for reader in batch.evidence.readers:
        yield from by_reader(batch, reader)


def by_classifier(batch: Batch) -> Iterator[Found]:
    """What the classifier itself says of the counterfactuals, and what they cost."""
    yield Found("target_accuracy", everything(validity.target_accuracy(batch.logits, batch.targets)))
    yield Found("original_accuracy", everything(validity.original_accuracy(batch.logits, batch.explained)))
    yield Found("left_class", everything(validity.left_class(batch.logits, batch.source_logits)))
    yield Found("target_confidence", everything(validity.target_confidence(batch.logits, batch.targets)))
    yield Found("original_confidence", everything(validity.original_confidence(batch.logits, batch.explained)))
    yield Found("confidence_gap", everything(validity.confidence_gap(batch.logits, batch.targets)))
    yield Found("network_evaluations", everything(np.array([row.network_evaluations for row in batch.made])))


def by_oracles(batch: Batch) -> Iterator[Found]:
    """Whether others that judge the same task agree with the classifier, and see the target."""
    for oracle in batch.evidence.oracles:
        logits = batch.evidence.of_oracle(oracle, batch.rows)
        answered = np.isfinite(logits).all(1)
        said = {"judge": oracle, "reason": NO_ANSWER.format(judge=oracle), "failed": True}
        agrees, sees = validity.oracle_score(logits, batch.logits), validity.target_accuracy(logits, batch.targets)
        yield Found("oracle_score", among(agrees, answered), **said)
        yield Found("oracle_target_accuracy", among(sees, answered), **said)


def by_pixels(batch: Batch) -> Iterator[Found]:
    """Distances in pixels, by the definition that does not depend on the size of image or batch, and further values."""
    for name, order in ORDERS.items():
        found = distance(batch.counterfactuals, batch.sources, order)
        yield Found(name, everything(found), definition="corrected")
    for name, function in loaded("counterfactuals"):
        yield Found(name, everything(function(batch.counterfactuals, batch.sources)))


def by_features(batch: Batch, networks: Networks) -> Iterator[Found]:
    """Distances and similarities in the eyes of the networks that measure."""
    pair = (batch.counterfactuals, batch.sources)
    if networks.perceptual is not None:
        found = perceptual_distance(networks.perceptual, *pair, batch_size=BATCH)
        yield Found("perceptual_distance", everything(found), network=networks.perceptual.name)
    if networks.similarity is not None:
        alike = feature_similarity(*(features_of(networks.similarity, each, batch_size=BATCH) for each in pair))
        named = {"network": networks.similarity.name}
        yield Found("similarity", everything(alike), definition="corrected", **named)
        yield Found("similarity", among(alike, batch.right), WRONG, definition="paper", **named)
    if networks.faces is not None:
        alike = feature_similarity(*(features_of(networks.faces, each, batch_size=BATCH) for each in pair))
        named = {"network": networks.faces.name, "reason": NOT_VALID}
        yield Found("face_similarity", among(alike, batch.valid), **named)
        yield Found("same_face", among(same_face(alike), batch.valid), **named)


def by_replacing(batch: Batch, classifier: Classifier, count: Callable[[int], object] | None) -> Iterator[Found]:
    """How few of the changed pixels carry the decision; as published only where the classifier was right."""
    classes = [torch.from_numpy(each) for each in (batch.explained, batch.targets)]
    pair = (batch.sources, batch.counterfactuals)
    found = transitions(classifier, *pair, *classes, batch_size=BATCH, progress=count)
    yield Found("cout", everything(cout(found)), definition="corrected")
    yield Found("cout", among(cout(found, "paper"), batch.right), WRONG, definition="paper")


def by_reader(batch: Batch, reader: str) -> Iterator[Found]:
    """Which concepts a reader sees change, and, where interventions tell, whether those are what the decision needs."""
    evidence = batch.evidence
    concepts = list(evidence.tasks[reader])
    before = {concept: evidence.of_reader(reader, concept, batch.source_rows) for concept in concepts}
    after = {concept: evidence.of_reader(reader, concept, batch.rows) for concept in concepts}
    answered = np.all([np.isfinite(each).all(1) for side in (before, after) for each in side.values()], axis=0)
    said = {"judge": reader, "reason": NO_ANSWER.format(judge=reader), "failed": True}
    sides = [np.stack([np.argmax(side[concept], 1) for concept in concepts], 1) for side in (before, after)]
    yield Found("attributes_changed", among(attributes_changed(*sides), answered), **said)
    if answered.any():
        kept = [{concept: side[concept][answered] for concept in concepts} for side in (before, after)]
        for concept, varied in label_variation(*kept).items():
            values = np.zeros(len(answered))
            values[answered] = varied
            yield Found("label_variation", Scored(values, answered), concept=concept, **said)
    known = [concept for concept in concepts if concept in evidence.concepts]
    if known:
        changed = changed_concepts(before, after, known)
        yield from by_truth(batch, reader, known, changed, answered)


def by_truth(
    batch: Batch, reader: str, concepts: Sequence[str], changed: np.ndarray, answered: np.ndarray
) -> Iterator[Found]:
    """The changed concepts (N, C) against those whose intervention makes the classifier decide for the target."""
    flips, flips_at_all, known = flipping(batch, concepts)
    named = {"judge": reader}
    flipped = batch.valid & (batch.source_logits.argmax(1) != batch.targets)
    for kind, found in kinds_of_flips(changed, flips_at_all, flipped & known & answered).items():
        yield Found(f"{kind}_share", found, NO_FLIP, **named)
    for metric, score, reason in (
        ("truth_precision", truth_precision, NOTHING_CHANGED),
        ("truth_recall", truth_recall, NO_CAUSE),
        ("side_effects", side_effects, NO_CAUSE),
    ):
        scored = score(changed, flips)
        yield Found(metric, among(scored.values, scored.scored & answered), reason, **named)
    causes = flips.sum(1)
    wanted = {"": batch.valid & answered & (causes > 0), "only_": batch.valid & answered & (causes == 1)}
    for kind, rows in wanted.items():
        yield Found(f"changes_{kind}cause", changes_any(changed, flips, rows), NOT_ONE_CAUSE, **named)
        yield Found(f"changes_beside_{kind}cause", changes_any(changed, ~flips, rows), NOT_ONE_CAUSE, **named)
    for place, concept in enumerate(concepts):
        own, named = changed[:, [place]], {"judge": reader, "concept": concept, "only_scored": True}
        flipping_here = wanted[""] & flips[:, place]
        elsewhere = wanted[""] & ~flips[:, place]
        every = np.ones_like(own)
        yield Found("changes_cause", changes_any(own, every, flipping_here), **named)
        yield Found("changes_beside_cause", changes_any(own, every, elsewhere), **named)


def flipping(batch: Batch, concepts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether changing a concept alone flips the decision to the target, and whether to any other class (N, C).

    Nothing does where that is not known: the last, (N,), says where it is.
    """
    to_target, at_all = (np.zeros((len(batch.made), len(concepts)), bool) for _ in range(2))
    known = np.zeros(len(batch.made), bool)
    for place, row in enumerate(batch.made):
        classes = batch.evidence.led_to(row.image_id)
        if classes is not None:
            known[place] = True
            at_all[place] = [bool(classes[concept]) for concept in concepts]
            to_target[place] = [row.target in classes[concept] for concept in concepts]
    return to_target, at_all, known
