import json

import pytest

from pipeline.metrics.names import METRICS
from pipeline.metrics.truth import probabilities
from pipeline.stages.score import score
from pipeline.tables import read_table, write_table

UP, DOWN, FAR_UP = [0.0, 1.0], [1.0, 0.0], [0.0, 3.0]
PROVENANCE = {"stage": "predict", "tasks": {"net": {"smile": ["absent", "present"]}, "reader": {"hair": [], "hat": []}}}


def prediction(source_row_id, logits, label, network="net", task="smile", status="ok"):
    image_id = source_row_id.split("/")[0]
    row = {"row_id": f"{network}/{task}/{source_row_id}", "image_id": image_id, "classifier": network, "task": task}
    row |= {"source": "interventions" if "/" in source_row_id else "images", "source_row_id": source_row_id}
    if status == "failed":
        return {**row, "status": status, "reason": "the network gave up"}
    confidence = float(probabilities(logits).max())
    return {**row, "status": status, "logits": logits, "predicted": int(logits[1] > logits[0]), "label": label} | {
        "confidence": confidence
    }


def intervention(image_id, concept, value, original):
    row_id = f"{image_id}/{concept}={value}"
    names = {"row_id": row_id, "image_id": image_id, "status": "ok", "concept": concept}
    return {**names, "value": value, "value_name": str(value), "original": original}


@pytest.fixture
def scores(tmp_path):
    """Scores predictions and interventions; the result maps (metric, network, image, concept, class) to the value."""

    def make(predictions, interventions=()):
        write_table(tmp_path / "predictions.parquet", "predictions", predictions, PROVENANCE)
        files = [tmp_path / "interventions.parquet"] if interventions else []
        for path in files:
            write_table(path, "interventions", list(interventions), {})
        options = json.dumps({"study": "tiny", "classifiers": ["net"]})
        path = tmp_path / "tiny" / "scores.parquet"
        score(options, "code", [], [tmp_path / "predictions.parquet"], path, files)
        names = ("metric", "classifier", "image_id", "concept", "target_class")
        return {tuple(row[name] for name in names): row["value"] for row in read_table(path, "scores").to_pylist()}

    return make


def test_an_image_is_right_where_the_decision_is_its_label(scores):
    found = scores([prediction("a", UP, 1), prediction("b", UP, 0), prediction("c", UP, None)])
    assert found == {("correct", "net", "a", None, None): 1.0, ("correct", "net", "b", None, None): 0.0}


def test_a_reader_is_asked_for_each_of_its_concepts(scores):
    rows = [prediction("a", UP, 1, "reader", "hair"), prediction("a", UP, 0, "reader", "hat"), prediction("a", UP, 1)]
    assert scores(rows) == {
        ("correct", "reader", "a", "hair", None): 1.0,
        ("correct", "reader", "a", "hat", None): 0.0,
        ("correct", "net", "a", None, None): 1.0,
    }


def test_a_concept_flips_an_image_if_one_of_its_values_does(scores):
    changes = [intervention("a", "hair", value, 0) for value in (1, 2)]
    found = scores(
        [prediction("a", UP, 1), prediction("a/hair=1", FAR_UP, 1), prediction("a/hair=2", DOWN, 1)], changes
    )
    assert found["flips", "net", "a", "hair", None] == 1.0
    found = scores([prediction("a", UP, 1), prediction("a/hair=1", FAR_UP, 1), prediction("a/hair=2", UP, 1)], changes)
    assert found["flips", "net", "a", "hair", None] == 0.0


def test_the_effect_is_the_largest_change_of_the_first_decision(scores):
    changes = [intervention("a", "hair", value, 0) for value in (1, 2)]
    found = scores(
        [prediction("a", UP, 1), prediction("a/hair=1", FAR_UP, 1), prediction("a/hair=2", DOWN, 1)], changes
    )
    up, down = probabilities(UP)[1], probabilities(DOWN)[1]
    assert found["effect", "net", "a", "hair", None] == pytest.approx(up - down)
    # Only a concept of two values has a direction from absent to present.
    assert not [key for key in found if key[0] == "causal_effect"]


@pytest.mark.parametrize("original", [0, 1])
def test_a_causal_effect_goes_from_absent_to_present_whatever_the_image_shows(scores, original):
    logits = {0: DOWN, 1: UP}
    rows = [prediction("a", logits[original], 1), prediction(f"a/hat={1 - original}", logits[1 - original], 1)]
    found = scores(rows, [intervention("a", "hat", 1 - original, original)])
    gain = probabilities(UP)[1] - probabilities(DOWN)[1]
    assert found["causal_effect", "net", "a", "hat", "present"] == pytest.approx(gain)
    assert found["causal_effect", "net", "a", "hat", "absent"] == pytest.approx(-gain)
    assert {key[0] for key in found} == {name for name, known in METRICS.items() if known.family == "classifiers"}
