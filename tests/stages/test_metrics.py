import json

import pytest

from pipeline.stages.metrics import metrics
from pipeline.tables import read_table, write_table


def score(metric, image_id, value, concept=None, status="ok"):
    row = {
        "row_id": f"{metric}/{concept}/{image_id}",
        "family": "classifiers",
        "image_id": image_id,
        "classifier": "net",
    }
    row |= {"metric": metric, "concept": concept, "value": value, "status": status}
    return row | ({} if status == "ok" else {"reason": "no prediction"})


@pytest.fixture
def summarised(tmp_path):
    """Summarises scores; the result maps (metric, concept, status) to the row."""

    def make(scores, seed=1):
        write_table(tmp_path / "scores.parquet", "scores", scores, {})
        options = {"study": "tiny", "seed": seed, "bootstrap": 500, "confidence": 0.95}
        path = tmp_path / "tiny" / "metrics.parquet"
        metrics(json.dumps(options), "code", tmp_path / "scores.parquet", path)
        rows = read_table(path, "metrics").to_pylist()
        return {(row["metric"], row["concept"], row["status"]): row for row in rows}

    return make


def test_a_share_has_the_interval_of_wilson(summarised):
    found = summarised([score("correct", str(index), float(index < 8)) for index in range(10)])
    row = found["accuracy", None, "ok"]
    # Wilson (1927) for 8 of 10: (0.4902, 0.9433).
    assert (row["value"], row["n"], row["better"]) == (0.8, 10, "higher")
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.4902, 0.9433), abs=1e-4)


def test_concepts_are_summarised_apart(summarised):
    flips = [("a", 1.0, "hat"), ("b", 0.0, "hat"), ("a", 1.0, "hair")]
    found = summarised([score("flips", image, value, concept) for image, value, concept in flips])
    assert {key[1]: (row["value"], row["n"]) for key, row in found.items()} == {"hat": (0.5, 2), "hair": (1.0, 1)}


def test_a_mean_lies_in_its_interval_and_depends_on_nothing_else(summarised):
    effects = [score("effect", str(index), index / 10, "hat") for index in range(10)]
    alone = summarised(effects)["intervention_effect", "hat", "ok"]
    assert alone["value"] == pytest.approx(0.45)
    assert alone["ci_low"] < 0.45 < alone["ci_high"]
    among_others = summarised([score("effect", "a", 0.3, "hair"), *effects])["intervention_effect", "hat", "ok"]
    assert among_others == alone
    assert summarised(effects, seed=2)["intervention_effect", "hat", "ok"]["ci_low"] != alone["ci_low"]


def test_unscored_rows_are_counted_apart_from_failures(summarised):
    scores = [score("correct", name, None, status=status) for name, status in (("a", "failed"), ("b", "unscored"))]
    found = summarised([*scores, score("correct", "c", 1.0)])
    assert {key[2]: row["n"] for key, row in found.items()} == {"ok": 1, "failed": 1, "unscored": 1}
    assert found["accuracy", None, "unscored"]["reason"] == "1 of 3 rows have no score"


def test_failed_scores_are_counted_in_a_row_of_their_own(summarised):
    scores = [score("correct", "a", 1.0), score("correct", "b", None, status="failed"), score("correct", "c", 0.0)]
    found = summarised(scores)
    assert (found["accuracy", None, "ok"]["value"], found["accuracy", None, "ok"]["n"]) == (0.5, 2)
    failed = found["accuracy", None, "failed"]
    assert (failed["reason"], failed["n"], failed["value"]) == ("1 of 3 rows failed", 1, None)
    nothing = summarised([score("effect", "a", None, "hat", status="failed")])
    assert set(nothing) == {("intervention_effect", "hat", "failed")}
