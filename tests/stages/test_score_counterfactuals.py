"""Counterfactuals whose worth is known: interventions, drawn by the world itself, in place of what a method makes."""

import json
from itertools import permutations

import numpy as np
import pytest

from pipeline.images import content, decode_png
from pipeline.metrics.names import METRICS
from pipeline.metrics.truth import probabilities
from pipeline.stages.judge import judge
from pipeline.stages.metrics import metrics
from pipeline.stages.score_counterfactuals import score_counterfactuals
from pipeline.tables import read_table, write_table

CLASSIFIER, READER, FEATURES = "smile-shortcut", "concepts", "portraits-features"
ORACLES = ["smile-vit", "smile-robust"]
SHIPPED = "data/classifiers/{}.safetensors"
ENTRIES = {name: {"file": SHIPPED.format(name)} for name in (CLASSIFIER, *ORACLES, READER, FEATURES)}
ROLES = {"classifiers": [CLASSIFIER], "oracles": ORACLES, "readers": [READER]}
ASKED = {"study": "tiny", "seed": 1, "networks": ENTRIES, "roles": ROLES}
MEASURING = {"name": FEATURES, **ENTRIES[FEATURES]}
SCORED = {
    **ASKED,
    "explained_class": "predicted",
    "measuring": {"perceptual": MEASURING, "realism": MEASURING, "similarity": MEASURING, "faces": None},
    **{"relations": {"smile": [["absent", "present", "near"]]}, "bootstrap": 200, "confidence": 0.95},
}
CLASSES = ["absent", "present"]
METHODS = {"draws-smile": "smile", "draws-glasses": "glasses", "draws-hat": "hat"}
"""Methods by the concept that each changes, whatever the image."""


class Scored:
    """The tables of a study, and its scores by metric, method, and whatever tells rows of it apart."""

    def __init__(self, tables, images, interventions, predictions, made, judged, rows):
        self.tables, self.images, self.interventions = tables, images, interventions
        self.predictions, self.made, self.judged, self.rows = predictions, made, judged, rows

    def of(self, metric, method=None, **names):
        """Rows about single images of a metric."""
        return [
            row
            for row in self.rows
            if (row["metric"], row["image_id"] is not None) == (metric, True)
            and method in (None, row["method"])
            and all(row[key] == value for key, value in names.items())
        ]

    def of_all(self, metric, method, definition):
        """The row about all that a method made, whatever the pair of classes."""
        wanted = {"metric": metric, "method": method, "definition": definition}
        wanted |= dict.fromkeys(("image_id", "source_class", "pairs"))
        (found,) = [row for row in self.rows if wanted.items() <= row.items()]
        return found

    def decided(self, row_id):
        """What the classifier decides about an image or intervention."""
        return self.predictions[CLASSIFIER, "smile", row_id]["predicted"]

    def flips(self, image_id, concept):
        """Whether changing the concept alone flips the decision."""
        changes = [
            row["row_id"] for row in self.interventions if (row["image_id"], row["concept"]) == (image_id, concept)
        ]
        return any(self.decided(row) != self.decided(image_id) for row in changes)


def counterfactual(method, change, decided, logits, sample=0):
    """An intervention as the row of a method that made it."""
    target = 1 - decided
    row_id = f"{CLASSIFIER}/{method}/{change['image_id']}/{target}/{sample}"
    return {
        **{"row_id": row_id, "image_id": change["image_id"], "classifier": CLASSIFIER, "method": method},
        **{"status": "ok", "target": target, "sample": sample, "image": change["image"], "content": change["content"]},
        **{"logits": logits, "predicted": int(np.argmax(logits)), "flipped": int(np.argmax(logits)) == target},
        **{"confidence_target": float(probabilities(logits)[target]), "network_evaluations": 1},
    }


def failed(row):
    """The same row as one that could not be made."""
    kept = {key: row[key] for key in ("row_id", "image_id", "classifier", "method", "target", "sample")}
    return {**kept, "status": "failed", "reason": "the gradient is not finite"}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Six portraits, three methods that draw one concept anew; the last row of one of them failed."""
    from pipeline.study import Study
    from pipeline.workflow.plan import Plan
    from tests.stages.conftest import Tables

    sections = {
        "dataset": {"world": "portraits", "size": 64, "rows": 8, "split": "test"},
        **{"classifiers": {CLASSIFIER: ENTRIES[CLASSIFIER]}, "oracles": ORACLES, "readers": [READER]},
    }
    tables = Tables(tmp_path_factory.mktemp("scored"), Plan(Study.model_validate({"study": "tiny", **sections})))
    images, interventions = tables.sample(), tables.intervene()
    predictions = {(row["classifier"], row["task"], row["source_row_id"]): row for row in tables.predict()}
    made = []
    for method, concept in METHODS.items():
        for change in (row for row in interventions if row["concept"] == concept):
            before, after = (predictions[CLASSIFIER, "smile", change[key]] for key in ("image_id", "row_id"))
            made.append(counterfactual(method, change, before["predicted"], after["logits"]))
    made[-1] = failed(made[-1])
    path = tables.path("counterfactuals")
    write_table(path, "counterfactuals", made, {})
    identities = [tables.folder / "tiny" / f"{name}.json" for name in (CLASSIFIER, *ORACLES, READER)]
    judged = tables.path("judged")
    predicted, store = tables.path("predictions"), tables.folder / "rows"
    judge(json.dumps(ASKED), "code", predicted, [path], identities, store, judged)
    paths = {name: [tables.path(name)] for name in ("images", "predictions", "interventions", "counterfactuals")}
    scores = tables.path("counterfactual-scores")
    measured_by = {"classifier": CLASSIFIER, "identities": identities[:1], "judged": [judged]}
    score_counterfactuals(json.dumps(SCORED), "code", **paths, **measured_by, scores=scores)
    found = [read_table(each, name).to_pylist() for each, name in ((judged, "predictions"), (scores, "scores"))]
    return Scored(tables, images, interventions, predictions, made, *found)


def test_oracles_and_readers_judge_and_the_classifier_itself_does_not(scored):
    whole = [row["row_id"] for row in scored.made if row["status"] == "ok"]
    asked = {}
    for row in scored.judged:
        assert row["source"] == "counterfactuals" and row["label"] is None
        asked.setdefault((row["classifier"], row["task"]), []).append(row["source_row_id"])
    assert all(asked.pop((oracle, "smile")) == whole for oracle in ORACLES)
    assert all(rows == whole for rows in asked.values()) and {name for name, _ in asked} == {READER}


def test_judges_say_of_equal_pixels_what_they_said_before(scored):
    changes = {row["content"]: row["row_id"] for row in scored.interventions}
    shown = {row["row_id"]: changes[row["content"]] for row in scored.made if row["status"] == "ok"}
    for row in scored.judged:
        before = scored.predictions[row["classifier"], row["task"], shown[row["source_row_id"]]]
        assert row["logits"] == pytest.approx(before["logits"], abs=1e-5)


def test_a_counterfactual_is_valid_where_the_intervention_flips(scored):
    for method, concept in METHODS.items():
        for row in (row for row in scored.of("target_accuracy", method) if row["status"] == "ok"):
            assert row["value"] == scored.flips(row["image_id"], concept)
            decided = scored.decided(row["image_id"])
            assert (row["source_class"], row["target_class"]) == (CLASSES[decided], CLASSES[1 - decided])
            assert row["pairs"] == ("near" if CLASSES[decided] == "absent" else None)


def test_drawing_the_concept_that_flips_is_all_truth_and_no_side_effect(scored):
    seen = set()
    for method, concept in METHODS.items():
        for row in scored.of("truth_recall", method):
            causes = [each for each in METHODS.values() if scored.flips(row["image_id"], each)]
            if row["status"] == "ok":
                assert row["judge"] == READER and (row["value"] > 0) == (concept in causes)
                seen.add(row["value"])
        for row in scored.of("side_effects", method):
            if row["status"] == "ok":
                assert row["value"] == (not scored.flips(row["image_id"], concept))
    assert len(seen) > 1


def test_valid_counterfactuals_that_change_a_cause_are_told_from_those_that_change_something_else(scored):
    valid = [row for row in scored.of("changes_cause") if row["status"] == "ok" and row["method"] in METHODS]
    assert valid
    for row in valid:
        if row["concept"] is None:
            assert row["value"] == 1  # whatever flipped it is the one concept that was drawn anew
    beside = [row for row in scored.of("changes_beside_cause") if row["status"] == "ok" and row["method"] in METHODS]
    assert {row["value"] for row in beside} == {0.0}


def test_every_flip_is_causal_trivial_or_collateral_also_of_controls(scored):
    shares = ("causal_share", "trivial_share", "collateral_share")
    kinds = [[row for row in scored.of(metric) if row["status"] == "ok"] for metric in shares]
    flips = [row for row in scored.of("target_accuracy") if row["value"] == 1]
    assert {row["method"] for row in flips} > {"nearest-real"}
    for rows in zip(flips, *kinds, strict=True):
        assert len({row["source_row_id"] for row in rows}) == len({row["method"] for row in rows}) == 1
        assert sum(row["value"] for row in rows[1:]) == 1
        if rows[0]["method"] in METHODS:
            assert rows[1]["value"] == 1  # it draws one concept anew, and that flips


def test_each_concept_is_a_cause_or_not_of_each_valid_counterfactual(scored):
    for method in METHODS:
        by_image = {}
        for metric in ("changes_cause", "changes_beside_cause"):
            for row in scored.of(metric, method):
                if row["concept"] is not None:
                    by_image.setdefault(row["image_id"], {}).setdefault(metric, []).append(row["concept"])
        for image_id, concepts in by_image.items():
            causes = [concept for concept in concepts["changes_cause"] if concept in METHODS.values()]
            assert all(scored.flips(image_id, concept) for concept in causes)
            assert len(concepts["changes_cause"]) + len(concepts["changes_beside_cause"]) == 7


def test_the_unchanged_image_is_nearest_and_flips_nothing(scored):
    rows = scored.of("target_accuracy", "unchanged")
    assert {row["value"] for row in rows} == {0.0}
    assert {row["source_row_id"] for row in rows} <= {row["image_id"] for row in scored.images}
    for metric in ("l1", "l2", "linf", "perceptual_distance", "sparsity", "attributes_changed"):
        assert {row["value"] for row in scored.of(metric, "unchanged")} == {0.0}
    assert {round(row["value"], 6) for row in scored.of("similarity", "unchanged", definition="corrected")} == {1.0}


def test_the_nearest_real_image_is_another_one_that_is_decided_for_the_target(scored):
    rows = scored.of("target_accuracy", "nearest-real")
    assert rows
    for row in rows:
        assert row["source_row_id"] != row["image_id"] and row["value"] == 1.0
        assert scored.decided(row["source_row_id"]) != scored.decided(row["image_id"])


def test_distances_are_those_of_the_pictures(scored):
    pictures = {row["image_id"]: decode_png(row["image"]["bytes"]) / 255 for row in scored.images}
    made = {row["row_id"]: decode_png(row["image"]["bytes"]) / 255 for row in scored.made if row["status"] == "ok"}
    for row in scored.of("l1", "draws-hat"):
        if row["status"] == "ok":
            expected = np.abs(made[row["source_row_id"]] - pictures[row["image_id"]]).mean()
            assert row["value"] == pytest.approx(expected, abs=1e-6) and row["definition"] == "corrected"


def test_published_norms_are_over_all_images_together(scored):
    row = scored.of_all("l1", "draws-smile", "paper")
    own = [each["value"] for each in scored.of("l1", "draws-smile")]
    assert row["value"] == pytest.approx(2 * sum(own) * 3 * 64 * 64) and row["n"] == len(own)
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_realism_is_held_against_the_sources_and_against_real_images_of_the_target(scored):
    for definition in ("paper", "corrected"):
        row = scored.of_all("kernel_distance", "draws-smile", definition)
        assert row["network"] == FEATURES and row["ci_low"] < row["value"] < row["ci_high"]
    assert scored.of_all("frechet_distance", "unchanged", "paper")["value"] == pytest.approx(0, abs=1e-6)
    assert scored.of_all("frechet_distance", "unchanged", "corrected")["value"] > 1e-3
    measured = [row for row in scored.rows if row["metric"] in ("frechet_distance", "perceptual_distance")]
    assert {row["network"] for row in measured} == {FEATURES}


def test_a_failed_counterfactual_has_failed_scores(scored):
    (row,) = [row for row in scored.of("target_accuracy", "draws-hat") if row["status"] == "failed"]
    assert row["reason"] == "the gradient is not finite" and row["value"] is None
    assert len([row for row in scored.of("l1", "draws-hat") if row["status"] == "failed"]) == 1


def test_the_scores_hold_every_metric_that_its_networks_allow_and_both_definitions_where_a_paper_has_another(scored):
    definitions = {}
    for row in scored.rows:
        definitions.setdefault(row["metric"], set()).add(row["definition"])
    known = {metric: each for metric, each in METRICS.items() if each.family == "counterfactuals"}
    assert known.keys() - definitions.keys() == {"face_similarity", "same_face", "diversity"}
    assert definitions.keys() <= known.keys()
    both = {metric for metric, found in definitions.items() if found == {"paper", "corrected"}}
    assert both == {metric for metric, each in known.items() if each.paper}


def test_methods_are_compared_in_the_eyes_of_each_oracle(scored):
    tables, path = scored.tables, scored.tables.path("metrics")
    metrics(tables.plan.options("metrics"), "code", [tables.path("counterfactual-scores")], path)
    rows = read_table(path, "metrics").to_pylist()
    judges = {row["judge"] for row in rows}
    assert judges == {*ORACLES, READER, None}
    found = [row for row in rows if row["metric"] == "oracle_target_accuracy_difference" and row["pairs"] is None]
    methods = [*METHODS, "unchanged", "nearest-real"]
    assert {(row["method"], row["compared_with"], row["judge"]) for row in found} == {
        (*pair, oracle) for pair in permutations(methods, 2) for oracle in ORACLES
    }


def test_row_ids_are_unique_and_content_is_that_of_the_world(scored):
    assert content(decode_png(scored.made[0]["image"]["bytes"])) == scored.made[0]["content"]
    assert len({row["row_id"] for row in scored.rows}) == len(scored.rows)
