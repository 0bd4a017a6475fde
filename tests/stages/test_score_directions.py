"""What directions change, as a reader whose answers are written by hand sees it."""

import json

import numpy as np
import pytest

from pipeline.images import encode_png
from pipeline.stages.score_directions import score_directions
from pipeline.tables import read_table, write_table

READER, CONCEPTS = "reader", ("smile", "hat", "beard")
MOVED = {"smile": 6.0, "hat": -2.0, "beard": 0.0}
PNG = encode_png(np.zeros((4, 4, 3), np.uint8))
CAUSAL = {"smile": 0.9, "hat": 0.3, "beard": 0.0}
OPTIONS = {"study": "tiny", "seed": 1, "readers": [READER], "bootstrap": 200, "confidence": 0.9}


def prediction(source, row, concept, evidence):
    return {
        **{"row_id": f"{source}/{concept}/{row}", "image_id": row.split("/")[0], "classifier": READER, "status": "ok"},
        **{"source": source, "source_row_id": row, "task": concept, "logits": [0.0, evidence]},
        **{"predicted": int(evidence > 0), "confidence": 0.9},
    }


@pytest.fixture
def scored(tmp_path):
    """Runs the stage on four images, of which two are led back; `flipped` of them."""

    def run(flipped=4):
        directions = [direction("way", "ok"), direction("none", "failed")]
        led, seen, truth = [], [], []
        for number in range(4):
            image, target = f"image-{number}", number % 2
            towards = 1 if target == 1 else -1
            led.append(counterfactual(image, target, number < flipped))
            for concept in CONCEPTS:
                start = float(number - 1.5)
                seen.append(prediction("images", image, concept, start))
                seen.append(prediction("counterfactuals", f"{image}/led", concept, start + towards * MOVED[concept]))
                truth += [score(metric, image, concept) for metric in ("flips", "effect")]
        tables = {"directions": directions, "counterfactuals": led, "predictions": seen, "scores": truth}
        for table, rows in tables.items():
            write_table(tmp_path / f"{table}.parquet", table, rows, {"stage": "test"})
        inputs = ([tmp_path / f"{name}.parquet"] for name in ("directions", "counterfactuals", "predictions"))
        path = tmp_path / "direction-scores.parquet"
        score_directions(json.dumps(OPTIONS), "code", *inputs, tmp_path / "scores.parquet", "small", path)
        return read_table(path, "scores").to_pylist()

    return run


def direction(method, status):
    row = {"row_id": f"small/{method}", "classifier": "small", "method": method, "status": status, "target": 1}
    row |= {"origin": 0, "autoencoder": "dae", "source_image_id": "a"}
    if status != "ok":
        return row | {"reason": "there is none"}
    found = {"kind": "g", "rank": 0, "vector": [1.0], "unit": 1.0, "sign": 1, "decodes": 9}
    return row | found | {"calibration_flip_rate": 1.0, "network_evaluations": 20}


def counterfactual(image, target, flipped):
    return {
        **{"row_id": f"{image}/led", "image_id": image, "classifier": "small", "method": "way", "status": "ok"},
        **{"target": target, "sample": 0, "image": {"bytes": PNG, "path": "a.png"}, "strength": 1.0},
        **{"direction": "small/way", "logits": [0.0, 1.0], "predicted": target, "confidence_target": 0.7},
        **{"flipped": flipped, "network_evaluations": 10},
    }


def score(metric, image, concept):
    value = CAUSAL[concept] if metric == "effect" else float(CAUSAL[concept] > 0.5)
    return {
        **{"row_id": f"{metric}/{image}/{concept}", "status": "ok", "family": "classifiers", "image_id": image},
        **{"classifier": "small", "metric": metric, "concept": concept, "value": value},
    }


def test_each_concept_moves_as_far_as_the_reader_says_in_deviations(scored):
    rows = {row["concept"]: row for row in scored() if row["metric"] == "concept_effect"}
    deviation = 1.2909944487358056  # of -1.5, -0.5, 0.5 and 1.5
    assert {concept: row["value"] for concept, row in rows.items()} == pytest.approx(
        {concept: moved / deviation for concept, moved in MOVED.items()}
    )
    assert all((row["n"], row["judge"], row["method"]) == (4, READER, "way") for row in rows.values())


def test_the_moves_are_held_against_what_interventions_do(scored):
    (row,) = [row for row in scored() if row["metric"] == "effect_correlation"]
    assert row["value"] == pytest.approx(1) and row["n"] == 3  # of 6, 2, 0 and 0.9, 0.3, 0.0


def test_a_direction_that_flips_nearly_nothing_is_unscored_with_a_reason(scored):
    rows = scored(flipped=1)
    assert {row["status"] for row in rows} == {"unscored"} and len(rows) == 4
    assert all("fewer than two images" in row["reason"] for row in rows)
