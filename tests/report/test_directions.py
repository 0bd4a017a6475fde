"""Directions in the report: a table, a curve and the source image along each."""

import re

import pytest

from pipeline.report.charts import Curve, curve_chart
from pipeline.tables import read_table
from tests.report.known_counterfactuals import CLASSIFIER, READER, add_counterfactuals, write
from tests.report.test_counterfactuals import rows_of
from tests.report.test_page import words
from tests.report.test_saliency import section


def add_directions(study):
    """The methods of counterfactuals as directions, with a strip of two images; and one that was not found."""
    add_counterfactuals(study)
    images = read_table(study.files["images"], "images").to_pylist()
    strip = [{"strength": strength, "image": images[0]["image"], "logits": [0.0, strength]} for strength in (-3.0, 3.0)]
    rows = [direction(method, strip) for method in ("draws-smile", "draws-hat")]
    failed = {key: rows[0][key] for key in ("classifier", "autoencoder", "target", "origin", "source_image_id")}
    rows.append(failed | {"row_id": "lost", "method": "lost", "status": "failed", "reason": "there is no direction"})
    study.files["directions"] = [write(study, "directions", f"directions/{CLASSIFIER}", rows, stage="directions")]
    made = read_table(study.files["counterfactuals"], "counterfactuals").to_pylist()
    for place, row in enumerate(made):
        if row["status"] == "ok":
            row |= {"strength": 0.5 + 0.1 * place, "direction": f"{CLASSIFIER}/{row['method']}"}
    told = {"stage": "transfer", "inputs": ["images"], "options": {"methods": {}}}
    study.files["counterfactuals"] = [write(study, "counterfactuals", "transfer", made, **told)]
    metrics = read_table(study.files["metrics"], "metrics").to_pylist()
    for concept, value in (("smile", 2.5), ("hat", -0.25)):
        metrics.append(metric("concept_effect", value, concept))
    study.rewrite("metrics", [*metrics, metric("effect_correlation", 0.87)], options={"confidence": 0.95})
    return study


def direction(method, strip):
    return {
        **{"row_id": f"{CLASSIFIER}/{method}", "classifier": CLASSIFIER, "method": method, "status": "ok"},
        **{"autoencoder": "dae", "target": 1, "origin": 0, "source_image_id": "portraits-search-000003"},
        **{"kind": "g", "rank": 0, "vector": [1.0], "unit": 2.0, "sign": 1, "decodes": 1234, "strip": strip},
        **{"calibration_flip_rate": 0.75, "network_evaluations": 9999},
    }


def metric(name, value, concept=None):
    return {
        **{"row_id": f"{name}/{concept}", "status": "ok", "family": "directions", "metric": name, "judge": READER},
        **{"classifier": CLASSIFIER, "method": "draws-smile", "concept": concept, "value": value, "n": 8},
    }


@pytest.fixture
def shown(tmp_path, written):
    """The part of the page about directions."""
    return section(written(tmp_path / "led", "led", add_directions).build(), "directions")


def test_a_direction_is_told_with_what_it_cost_what_it_flips_and_what_it_moves(shown):
    smile, hat, lost = rows_of(shown)
    assert smile.startswith("draws-smile g 1,234 75 %") and "8 images" in smile
    assert smile.index("smile 2.50") < smile.index("hat \N{MINUS SIGN}0.25") and smile.endswith("0.87")
    assert hat.startswith("draws-hat g") and lost == "lost there is no direction"
    assert '<span class="chip cause" title="changing it alone flips' in shown


def test_the_source_is_shown_along_each_direction_with_what_is_decided(shown):
    strips = shown.split('<article class="card example broad">')[1:]
    assert [words(strip).split(",")[0] for strip in strips] == ["Along draws-smile", "Along draws-hat"]
    assert "portraits-search-000003" in strips[0] and strips[0].count("<img") == 2
    assert re.findall(r"(-3\.0|\+3\.0)</b>", strips[0]) == ["-3.0", "+3.0"]
    assert re.findall(r'<span class="(\w+)">(\w+)</span></figcaption>', strips[0]) == [
        ("decision", "absent"),
        ("right", "present"),
    ]


def test_the_curve_says_how_many_are_flipped_by_how_far(shown):
    assert "Share of images that each direction flips for smile-cnn" in shown and "standard deviations" in shown
    drawn = curve_chart((Curve("half", (1.0, 2.0), 4), Curve("all", (0.5,), 1)), "steps")
    assert ">half<" in drawn and ">all<" in drawn and ">100 %<" in drawn
    assert drawn == curve_chart((Curve("half", (1.0, 2.0), 4), Curve("all", (0.5,), 1)), "steps")


def test_a_study_without_directions_has_no_such_part(tmp_path, written):
    assert 'id="directions"' not in written(tmp_path / "made", "made", add_counterfactuals).build()
