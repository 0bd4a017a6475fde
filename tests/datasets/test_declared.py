"""Kinds of datasets are found by folder; one of two files, as docs/extending.md adds it."""

import json
import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest
import yaml

from pipeline.datasets.declared import kinds
from pipeline.study import Study
from tests.copied import copy_package
from tests.guide import follow

ADDED = """
import json, sys
from pipeline.commands.reference import reference, schema_text
from pipeline.datasets import open_dataset
from pipeline.study import Study
from pipeline.workflow.plan import Plan

dataset = {"numpy": "shots.npz", "classes": ["cat", "dog"], "size": 8, "rows": 2, "shares": {"test": 1}}
plan = Plan(Study.model_validate({"study": "mine", "dataset": dataset, "classifiers": {"net": {"file": "net"}}}))
source = open_dataset(plan.study.dataset.model_dump(mode="json"), "test", 1)
first = source.read("shots.npz-000001")
print(json.dumps({
    "schema": {"NumpyDataset", "SampledNumpy"} <= json.loads(schema_text())["$defs"].keys(),
    "reference": "## dataset: numpy" in reference() and "`imagenet`, `numpy`, `world`" in reference(),
    "files": plan.dataset_files(),
    "code": "pipeline.datasets.numpy" in plan.modules("sample"),
    "ids": sorted(source.ids),
    "label": source.tasks["label"][first.attributes["label"]],
    "pixels": [first.image.shape, int(first.image.mean())],
}))
"""


@pytest.mark.parametrize("key", kinds())
def test_every_kind_has_a_function_and_an_example_that_is_one_of_it(key):
    kind = kinds()[key]
    module, function = kind.read.split(":")
    assert callable(getattr(import_module(module), function))
    study = Study.model_validate({"study": "a", "classifiers": {"a": {"file": "a"}}, **yaml.safe_load(kind.example)})
    assert isinstance(study.dataset, kind)


def test_a_dataset_kind_of_two_files_is_in_schema_reference_and_plan_and_is_read(tmp_path):
    copy_package(tmp_path)
    added = follow("Add a dataset kind", tmp_path)
    assert added == ["pipeline/datasets/declared/numpy.py", "pipeline/datasets/numpy.py"]
    images = np.stack([np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 200, np.uint8)])
    np.savez(tmp_path / "shots.npz", images=images, labels=np.array([0, 1]))
    process = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {
        "schema": True,
        "reference": True,
        "files": ["shots.npz"],
        "code": True,
        "ids": ["shots.npz-000000", "shots.npz-000001"],
        "label": "dog",
        "pixels": [[8, 8, 3], 200],
    }
