"""An in-filler from its training to the maps and curves that it fills, on a tiny network."""

import shutil

import pytest

from pipeline.digests import file_digest
from pipeline.images import decode_png
from pipeline.infill.file import load_network
from pipeline.stages.resumable import progress_file
from pipeline.stages.train_infill import train_infill
from pipeline.study import Study
from pipeline.workflow.plan import Plan

WORLD = {"world": "portraits", "size": 32}
RECIPE = {
    "dataset": WORLD,
    "rows": 32,
    "vae": {"channels": 4},
    "steps": 4,
    "batch_size": 4,
    "tested": 12,
}
FIDO = {"method": "fido", "objective": "sdr", "infill": "faces", "grid": 4, "masks": 2, "steps": 3, "warm_up": 1}
BBMP = {"method": "bbmp", "infill": "faces", "grid": 4, "steps": 2, "start": "random"}


def trained(folder, **changes):
    """Train a small in-filler; returns its weights, beside which lie its card and images with holes."""
    study = {"study": "a", "dataset": WORLD, "classifiers": {"a": {"file": "a"}}}
    plan = Plan(Study.model_validate({**study, "training": {"faces": {**RECIPE, **changes}}}))
    weights = folder / "faces.safetensors"
    options = plan.options("train_infill", "faces")
    train_infill("faces", options, weights, weights.with_suffix(".md"), weights.with_suffix(".png"))
    return weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("whole"))


def test_training_writes_weights_images_with_holes_and_a_card(weights):
    assert load_network(weights, "in-filler 'faces'").shape.channels == 4
    text = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert "holes of 12 images" in text and f"| sha256 | `{file_digest(weights)}` |" in text
    assert {line.split(" | ")[0] for line in text.splitlines()} >= {"| faces", "| mean", "| local-mean", "| blur"}
    assert decode_png(weights.with_suffix(".png").read_bytes()).shape == (8 * 34 + 2, 8 * 34 + 2, 3)
    assert not progress_file(weights).exists()


@pytest.fixture
def explained(study, weights):
    """A study whose maps are made with the in-filler."""

    def make(path=weights, called="faces", **entry):
        methods = {"fido": {**FIDO, "infill": called}, "bbmp": {**BBMP, "infill": called}}
        infills = {called: {"file": str(path), **entry}}
        judged_by = {"infills": ["mean", {"infill": "blur", "sigma": 5}, called]}
        tables = study({"rows": 2}, saliency=methods, explained_rows=2, infills=infills, evaluation=judged_by)
        for stage in (tables.sample, tables.intervene, tables.predict, tables.score):
            stage()
        tables.saliency("bright")
        return tables

    return make


def test_maps_are_made_with_it_and_judged_by_it(explained):
    tables = explained()
    assert {row["infill"] for row in tables.rows("saliency")} == {"faces"}
    assert all(row["status"] == "ok" for row in tables.rows("saliency"))
    removal = [row for row in tables.score_saliency("bright") if row["metric"] == "removal_auc"]
    assert {row["infill"] for row in removal} == {"mean", "blur sigma 5.0", "faces"}


def test_rows_follow_what_the_file_holds_and_not_what_it_is_called(explained, tmp_path, weights):
    assert explained().cost("saliency")["rows_computed"] == 4
    moved = shutil.copy(weights, tmp_path / "moved.safetensors")
    assert explained(moved, called="people").cost("saliency")["rows_computed"] == 0
    assert explained(composited=True).cost("saliency")["rows_computed"] == 4
    other = trained(tmp_path, vae={"channels": 4, "variance": False}, steps=1)
    assert explained(other).cost("saliency")["rows_computed"] == 4
