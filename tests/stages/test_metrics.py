import json

import numpy as np
import pytest

from pipeline.metrics.control_maps import CEILING, CENTRED, OTHER
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


def counterfactual(metric, image_id, value, method="dvce", status="ok", **names):
    """The score of a counterfactual; source and target class, pairs, sample and the like by name."""
    sample = names.pop("sample", 0)
    parts = [metric, method, image_id, *names.values(), sample]
    row = {"row_id": "/".join(map(str, parts)), "family": "counterfactuals", "image_id": image_id, "status": status}
    row |= {"classifier": "net", "method": method, "metric": metric, "value": value, **names}
    return row | ({} if status == "ok" else {"reason": "it failed"})


@pytest.fixture
def rows_of(tmp_path):
    """Summarises scores and returns all rows of one metric."""

    def make(metric, scores):
        write_table(tmp_path / "scores.parquet", "scores", scores, {})
        options = {"study": "tiny", "seed": 1, "bootstrap": 500, "confidence": 0.95}
        path = tmp_path / "tiny" / "metrics.parquet"
        metrics(json.dumps(options), "code", [tmp_path / "scores.parquet"], path)
        return [row for row in read_table(path, "metrics").to_pylist() if row["metric"] == metric]

    return make


UP, DOWN = {"source_class": "absent", "target_class": "present"}, {"source_class": "present", "target_class": "absent"}


def test_counterfactuals_are_summarised_for_each_pair_of_classes_and_for_all_together(rows_of):
    values = [("a", 1.0, UP), ("b", 1.0, UP), ("c", 0.0, DOWN), ("d", 0.0, DOWN)]
    scores = [counterfactual("target_accuracy", image, value, **pair) for image, value, pair in values]
    found = {(row["source_class"], row["target_class"]): row for row in rows_of("target_accuracy", scores)}
    assert {pair: (row["value"], row["n"]) for pair, row in found.items()} == {
        ("absent", "present"): (1.0, 2),
        ("present", "absent"): (0.0, 2),
        (None, None): (0.5, 4),
    }


def test_near_and_far_targets_are_also_summarised_apart(rows_of):
    near, far = {**UP, "pairs": "near"}, {**DOWN, "pairs": "far"}
    scores = [counterfactual("target_accuracy", image, 1.0, **near) for image in "abc"]
    scores += [counterfactual("target_accuracy", "a", 0.0, **far)]
    found = [row for row in rows_of("target_accuracy", scores) if row["source_class"] is None]
    assert {row["pairs"]: (row["value"], row["n"]) for row in found} == {
        "near": (1.0, 3),
        "far": (0.0, 1),
        None: (pytest.approx(2.5 / 3), 3),  # image a is one image: half of its targets were reached
    }


def test_samples_of_one_image_are_no_further_images(rows_of):
    scores = [
        counterfactual("target_accuracy", image, value, sample=sample, **UP)
        for image, values in {"a": (1.0, 0.0), "b": (1.0, 1.0)}.items()
        for sample, value in enumerate(values)
    ]
    for row in rows_of("target_accuracy", scores):
        assert (row["value"], row["n"]) == (0.75, 2)


def test_methods_are_compared_on_the_same_images_with_the_same_targets_under_every_judge(rows_of):
    values = {"dvce": [1.0, 1.0, 0.0, 1.0], "dime": [0.0, 1.0, 0.0, 0.0]}
    scores = [
        counterfactual("oracle_target_accuracy", image, value, method, judge=judge, **UP)
        for method, row in values.items()
        for image, value in zip("abcd", row, strict=True)
        for judge in ("vit", "robust")
    ]
    scores += [counterfactual("oracle_target_accuracy", "e", 1.0, "dvce", judge="vit", **UP)]
    found = rows_of("oracle_target_accuracy_difference", scores)
    assert {(row["method"], row["compared_with"], row["judge"]): (row["value"], row["n"]) for row in found} == {
        ("dvce", "dime", "vit"): (0.5, 4),
        ("dime", "dvce", "vit"): (-0.5, 4),
        ("dvce", "dime", "robust"): (0.5, 4),
        ("dime", "dvce", "robust"): (-0.5, 4),
    }
    # Two images differ: 1 sample in 16 draws neither of them.
    assert [row["p"] for row in found] == pytest.approx([2 / 16] * 4, abs=0.04)
    there, back = found[0], found[1]
    assert (there["ci_low"], there["ci_high"]) == (-back["ci_high"], -back["ci_low"])
    assert there["ci_low"] < there["ci_high"]


def test_values_about_a_set_of_images_keep_their_interval(rows_of):
    named = {"ci_low": 0.1, "ci_high": 0.3, "n": 24, "network": "features", "definition": "corrected"}
    (row,) = rows_of("kernel_distance", [counterfactual("kernel_distance", None, 0.2, **named)])
    assert {key: row[key] for key in named} == named
    assert (row["value"], row["better"]) == (0.2, "lower")
    (row,) = rows_of("kernel_distance", [counterfactual("kernel_distance", None, None, status="unscored")])
    assert (row["status"], row["reason"]) == ("unscored", "it failed")


def test_counterfactuals_that_failed_are_counted(rows_of):
    scores = [counterfactual("target_accuracy", "a", 1.0, **UP)]
    scores += [counterfactual("target_accuracy", "b", None, status="failed", **UP)]
    found = {(row["source_class"], row["status"]): row for row in rows_of("target_accuracy", scores)}
    assert found[None, "failed"]["reason"] == "1 of 2 rows failed" and found["absent", "failed"]["n"] == 1
    assert found[None, "ok"]["n"] == 1


def map_score(image_id, value, method=None, control=None):
    row = {"row_id": f"{method}/{control}/{image_id}", "family": "saliency", "image_id": image_id, "status": "ok"}
    return row | {"classifier": "net", "method": method, "control": control, "metric": "truth_mass", "value": value}


def test_methods_are_compared_with_their_controls_and_controls_with_nothing(rows_of):
    contenders = {("fido", None): [0.5, 0.7], ("lime", None): [0.3, 0.1], ("fido", OTHER): [0.2, 0.2]}
    contenders |= {("lime", OTHER): [0.2, 0.4], (None, CENTRED): [0.1, 0.3], (None, CEILING): [1.0, 1.0]}
    scores = [
        map_score(image, value, *contender)
        for contender, values in contenders.items()
        for image, value in zip("ab", values, strict=True)
    ]
    found = rows_of("truth_mass_difference", scores)
    assert {(row["method"], row["compared_with"] or row["control"]): row["value"] for row in found} == {
        ("fido", "lime"): pytest.approx(0.4),
        ("lime", "fido"): pytest.approx(-0.4),
        ("fido", OTHER): pytest.approx(0.4),
        ("lime", OTHER): pytest.approx(-0.1),
        ("fido", CENTRED): pytest.approx(0.4),
        ("lime", CENTRED): pytest.approx(0.0),
    }
    means = {(row["method"], row["control"]): row["value"] for row in rows_of("truth_mass", scores)}
    assert means == {contender: pytest.approx(np.mean(values)) for contender, values in contenders.items()}
