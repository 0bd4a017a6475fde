"""What is cleared away before a study runs."""

from pathlib import Path

import pytest

from pipeline.commands.leftovers import stray_parts
from pipeline.study import Study
from pipeline.workflow.plan import Plan

VALUES = {
    "study": "tiny",
    "dataset": {"world": "shapes", "size": 32, "rows": 5},
    "shard_rows": 3,
    "classifiers": {"mine": {"onnx": "mine.onnx", "classes": ["a", "b"]}},
    "saliency": {"random": {"method": "random"}},
}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A plan in an empty folder, with all its parts and the identity of its network."""
    monkeypatch.chdir(tmp_path)
    plan = Plan(Study.model_validate(VALUES))
    for file in ["mine.onnx", plan.identity("mine"), *plan.outputs()]:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        Path(file).write_text(file)
    return plan


def test_parts_of_shards_and_networks_that_a_study_no_longer_has_are_found(plan):
    assert list(stray_parts(plan)) == []
    smaller = Plan(Study.model_validate({**VALUES, "dataset": {**VALUES["dataset"], "rows": 3}}))
    assert {path.name for path in stray_parts(smaller)} == {"part-001.parquet"}
    renamed = Plan(Study.model_validate({**VALUES, "classifiers": {"other": VALUES["classifiers"]["mine"]}}))
    found = {str(path.relative_to(plan.folder / "tables")) for path in stray_parts(renamed)}
    assert found == {
        "saliency/saliency/mine/part-000.parquet",
        "saliency/saliency/mine/part-001.parquet",
        "scores/score_saliency/mine/part-000.parquet",
    }
