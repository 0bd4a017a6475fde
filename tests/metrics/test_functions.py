"""Metrics with functions of their own, and one of two files, as docs/extending.md adds it."""

import json
import subprocess
import sys

import pytest

from pipeline.metrics.functions import loaded
from pipeline.metrics.names import functions
from tests.copied import copy_package
from tests.guide import follow

ADDED = """
import json
from types import SimpleNamespace

import torch

from pipeline.commands.reference import metrics_table
from pipeline.metrics.names import measures
from pipeline.stages.counterfactual_measures import by_pixels
from pipeline.study import Study
from pipeline.workflow.plan import Plan

study = {"study": "mine", "dataset": {"world": "portraits", "rows": 3}, "classifiers": {"net": {"file": "net"}}}
images = torch.full((2, 3, 4, 4), 0.5)
batch = SimpleNamespace(counterfactuals=torch.stack([images[0] + 0.25, images[1]]), sources=images)
print(json.dumps({
    "scores": {each.metric: each.values.values.tolist() for each in by_pixels(batch)}["brightness_change"],
    "compared": measures("counterfactuals", "close")["brightness_change"].better,
    "code": "pipeline.metrics.brightness" in Plan(Study.model_validate(study)).modules("score_counterfactuals"),
    "page": "| `brightness_change` | 0 to 1 | lower |" in metrics_table("counterfactuals", "close"),
}))
"""


@pytest.mark.parametrize("family", ["saliency", "counterfactuals"])
def test_every_function_that_a_metric_names_is_there(family):
    assert [metric for metric, function in loaded(family) if callable(function)] == list(functions(family))


def test_a_metric_of_two_files_scores_is_compared_and_is_told(tmp_path):
    copy_package(tmp_path)
    added = follow("Add a metric", tmp_path)
    assert added == ["pipeline/metrics/brightness.py", "pipeline/metrics/names.py"]
    process = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {"scores": [0.25, 0.0], "compared": "lower", "code": True, "page": True}
