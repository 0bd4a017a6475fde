import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.images import decode_mask, encode_mask
from pipeline.metrics.control_maps import CEILING, CENTRED, OTHER, RANDOM
from pipeline.metrics.names import METRICS
from pipeline.stages.score_saliency import coverage_rows
from pipeline.tables import unpack, write_table

METHODS = {
    "fido": {"method": "fido", "objective": "sdr", "infill": "mean", "grid": 8, "masks": 4, "steps": 12, "warm_up": 2},
    "gradient": {"method": "gradient"},
    "occlusion": {"method": "occlusion", "window": 0.5, "stride": 0.5},
    "random": {"method": "random"},
}


@pytest.fixture
def explained(study):
    """A study of portraits whose maps are made."""

    def make(**sections):
        sections = {"saliency": METHODS, "explained_rows": 2, **sections}
        tables = study({"rows": 3}, **sections)
        for stage in (tables.sample, tables.intervene, tables.predict, tables.score):
            stage()
        tables.saliency("bright")
        return tables

    return make


def of_methods(rows, metric):
    """The scores of the methods' own maps by one metric."""
    return [row for row in rows if row["metric"] == metric and row["control"] is None]


def maps_of(tables, method):
    rows = [row for row in tables.rows("saliency") if row["method"] == method]
    return {row["image_id"]: unpack("saliency", "map", row["map"], row["shape"]) for row in rows}


def test_every_method_explains_the_first_images_by_the_class_that_was_decided(explained):
    tables = explained()
    rows = tables.rows("saliency")
    first = [row["image_id"] for row in tables.rows("images")[:2]]
    assert [(row["method"], row["image_id"]) for row in rows] == [(name, each) for name in METHODS for each in first]
    decided = {row["source_row_id"]: row["predicted"] for row in tables.rows("predictions")}
    assert all(row["target"] == decided[row["image_id"]] for row in rows)


def test_the_label_is_explained_where_the_study_says_so(explained):
    tables = explained(explained_class="label", explained_rows=3)
    predictions = {row["source_row_id"]: row for row in tables.rows("predictions") if row["source"] == "images"}
    targets = {row["image_id"]: row["target"] for row in tables.rows("saliency")}
    assert targets == {image_id: row["label"] for image_id, row in predictions.items()}
    assert any(row["label"] != row["predicted"] for row in predictions.values())
    decided = explained(explained_rows=3)  # finds the maps of images whose label is what was decided
    wrong = sum(row["label"] != row["predicted"] for row in predictions.values())
    assert decided.cost("saliency")["rows_computed"] == wrong * len(METHODS)


def test_a_label_that_an_image_does_not_have_cannot_be_explained(explained, brightness):
    unknown = {"classifiers": {"bright": {**brightness, "task": "mood"}}, "explained_class": "label"}
    with pytest.raises(UserError, match=r"explained_class is label, and the image .* has no label of the task mood"):
        explained(**unknown)


def test_a_method_explains_the_classifiers_that_it_names_alone(study, brightness):
    methods = {"gradient": {"method": "gradient", "classifiers": ["bright"]}, "random": {"method": "random"}}
    tables = study({"rows": 2}, saliency=methods, classifiers={"bright": brightness, "other": brightness})
    for stage in (tables.sample, tables.predict):
        stage()
    found = {name: {row["method"] for row in tables.saliency(name)} for name in ("bright", "other")}
    assert found == {"bright": {"gradient", "random"}, "other": {"random"}}


def test_the_table_says_what_each_method_fills_in_even_where_nothing_is_said(explained):
    rows = explained(saliency={**METHODS, "lime": {"method": "lime", "samples": 8, "infill": "blur"}}).rows("saliency")
    found = {row["method"]: row["infill"] for row in rows}
    assert found == {"fido": "mean", "gradient": None, "occlusion": "mean", "random": None, "lime": "blur"}


def test_the_gradient_of_a_mean_is_the_same_everywhere(explained):
    for drawn in maps_of(explained(), "gradient").values():
        assert drawn.shape == (32, 32)
        assert drawn == pytest.approx(drawn.mean(), rel=1e-3)


def test_the_second_time_no_map_is_made(explained):
    tables = explained()
    assert tables.cost("saliency")["rows_computed"] == 2 * len(METHODS)
    written = tables.path("saliency").read_bytes()
    tables.saliency("bright")
    assert tables.cost("saliency")["rows_computed"] == 0
    assert tables.path("saliency").read_bytes() == written


def test_another_option_makes_the_maps_of_its_method_alone_and_changing_it_back_none(explained):
    explained()
    changed = explained(saliency={**METHODS, "fido": {**METHODS["fido"], "steps": 10}})
    assert changed.cost("saliency")["rows_computed"] == 2
    assert explained().cost("saliency")["rows_computed"] == 0


def test_more_images_cost_only_their_own_maps_and_change_no_other(explained):
    few, before = explained(), maps_of(explained(), "fido")
    more = explained(explained_rows=3)
    assert more.cost("saliency")["rows_computed"] == len(METHODS)
    after = maps_of(more, "fido")
    assert all(np.array_equal(after[image_id], drawn) for image_id, drawn in before.items())
    assert len(after) == 3 and few.plan.explained_rows("000") == 2


def test_a_renamed_method_keeps_its_maps(explained):
    explained()
    renamed = explained(saliency={"other": METHODS["fido"]})
    assert renamed.cost("saliency")["rows_computed"] == 0


def test_maps_are_scored_against_the_parts_that_flip_this_decision(explained):
    tables = explained()
    rows = tables.score_saliency("bright")
    flips = {
        (row["image_id"], row["concept"]): row["value"] for row in tables.rows("scores") if row["metric"] == "flips"
    }
    scored = {row["image_id"]: row for row in of_methods(rows, "truth_auroc") if row["method"] == "random"}
    for image in tables.rows("images")[:2]:
        parts = {part["concept"]: decode_mask(part["mask"]) for part in image["parts"]}
        chosen = [mask for concept, mask in parts.items() if flips[image["image_id"], concept]]
        positive = np.logical_or.reduce(chosen) if chosen else np.zeros((32, 32), bool)
        row = scored[image["image_id"]]
        if not positive.any() or positive.all():
            assert row["status"] == "unscored" and row["reason"]
            continue
        drawn = maps_of(tables, "random")[image["image_id"]]
        wins = (drawn[positive][:, None] > drawn[~positive][None]).mean()
        assert row["value"] == pytest.approx(wins, abs=1e-6)


def test_the_truth_can_be_filled_in_where_that_changes_the_decision_and_only_those_images_count_twice(explained):
    rows = explained(evaluation={"infills": ["blur"]}).score_saliency("bright")
    (filled,) = [{row["image_id"]: row for row in rows if row["metric"] == "truth_fill_flips"}]
    for row in of_methods(rows, "truth_auroc_fillable"):
        changes = filled[row["image_id"]]["value"] == 1
        assert (row["status"] == "ok") == changes
        same = [each for each in of_methods(rows, "truth_auroc") if each["method"] == row["method"]]
        (area,) = [each["value"] for each in same if each["image_id"] == row["image_id"]]
        assert row["value"] == (area if changes else None)


def test_how_strongly_a_map_marks_a_part_is_told_apart_by_whether_its_intervention_flips(explained):
    tables = explained()
    rows = [row for row in tables.score_saliency("bright") if row["metric"].startswith("coverage")]
    flips = {
        (row["image_id"], row["concept"]): row["value"] for row in tables.rows("scores") if row["metric"] == "flips"
    }
    for row in rows:
        flipping = flips[row["image_id"], row["concept"]] == 1
        assert row["metric"] == ("coverage_flipping" if flipping else "coverage_not_flipping")
    for image in tables.rows("images")[:2]:
        shown = {part["concept"]: decode_mask(part["mask"]).any() for part in image["parts"]}
        for method in METHODS:
            own = [row for row in rows if row["image_id"] == image["image_id"] and row["method"] == method]
            own = [row for row in own if row["control"] is None]
            assert {row["concept"]: row["status"] == "ok" for row in own} == shown and len(own) == len(shown)


def test_a_part_counts_as_flipping_where_changing_it_flips_the_decision():
    mask = np.zeros((2, 2), bool)
    mask[0] = True
    hat, glasses = ({"concept": name, "mask": encode_mask(mask)} for name in ("hat", "glasses"))
    rows = [{"row_id": "a", "parts": [hat]}, {"row_id": "b", "parts": [hat, glasses]}]
    flips = {"a": {"hat": True}, "b": {"hat": False, "glasses": True}}
    found = coverage_rows(np.array([[[4.0, 2], [0, 0]], [[0.0, 0], [1, 1]]]), rows, flips, {"method": "fido"})
    assert [(row["image_id"], row["concept"], row["metric"], row["value"]) for row in found] == [
        ("a", "hat", "coverage_flipping", 0.75),
        ("b", "hat", "coverage_not_flipping", 0.0),
        ("b", "glasses", "coverage_flipping", 0.0),
    ]


def test_every_method_is_scored_by_every_metric(explained):
    rows = explained(evaluation={"infills": ["mean", "blur"]}).score_saliency("bright")
    for method in METHODS:
        for metric in ("truth_mass", "truth_average_precision", "pointing_game", "truth_auroc", "saliency_metric"):
            assert sum(row["method"] == method for row in of_methods(rows, metric)) == 2
        for metric in ("removal_auc", "keeping_auc"):
            assert {row["infill"] for row in of_methods(rows, metric) if row["method"] == method} == {"mean", "blur"}


def test_a_classifier_all_of_whose_maps_failed_has_no_scores(explained):
    tables = explained()
    failed = {"status": "failed", "reason": "the card burst", "map": None, "shape": None}
    write_table(tables.path("saliency"), "saliency", [{**row, **failed} for row in tables.rows("saliency")], {})
    assert tables.score_saliency("bright") == []


def test_controls_and_the_truth_itself_are_scored_beside_the_methods(explained):
    tables = explained()
    flips = [{**row, "value": row["metric"] == "flips" and row["concept"] == "hair"} for row in tables.rows("scores")]
    write_table(tables.path("scores"), "scores", flips, {})
    rows = tables.score_saliency("bright")
    found = {}
    for row in rows:
        if row["metric"] == "truth_mass":
            found.setdefault((row["method"], row["control"]), []).append(row["value"])
    blind = {(None, RANDOM), (None, CENTRED), (None, CEILING)}
    assert set(found) == {*((name, control) for name in METHODS for control in (None, OTHER)), *blind}
    assert found[None, CEILING] == pytest.approx([1.0, 1.0])
    # The method `random` draws what the control draws.
    assert found[None, RANDOM] == found["random", None]
    assert {row["metric"] for row in rows} == {name for name, known in METRICS.items() if known.family == "saliency"}
    curves = {row["control"] for row in rows if row["metric"] == "removal_auc"}
    assert curves == {None, RANDOM, CENTRED}
