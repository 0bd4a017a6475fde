"""An in-filler of two files, as docs/extending.md adds one."""

import json
import subprocess
import sys

import torch

import pipeline.infill
from pipeline.infill import declared
from pipeline.infill.file import open_infill
from tests.copied import copy_package
from tests.guide import follow

CHOSEN = {"infill": "quantile", "share": 1.0}
ADDED = f"""
import json, sys
from pipeline.study import Study
from pipeline.workflow.plan import Plan
from pipeline.commands.reference import reference, schema_text

plan = Plan(Study.model_validate({{
    "study": "mine",
    "dataset": {{"world": "portraits", "size": 32, "rows": 3}},
    "classifiers": {{"net": {{"timm": "resnet18", "classes": ["a", "b"], "task": "smile"}}}},
    "saliency": {{"map": {{"method": "fido", "infill": {CHOSEN}}}}},
}}))
text = reference()
print(json.dumps({{
    "schema": "Quantile" in json.loads(schema_text())["$defs"],
    "reference": "## infill: quantile" in text and "infill: {{infill: quantile, share: 0.9}}" in text,
    "module": "pipeline.infill.quantile" in plan.modules("saliency"),
    "called": plan.study.saliency["map"].filled_in,
    "torch": "torch" in sys.modules,
}}))
"""


def write_two_files(folder):
    """The two files that docs/extending.md adds to the project in a folder."""
    added = follow("Add an in-filler", folder)
    assert added == ["pipeline/infill/declared/quantile.py", "pipeline/infill/quantile.py"]


def test_an_in_filler_of_two_files_is_in_schema_reference_and_plan(tmp_path):
    copy_package(tmp_path)
    write_two_files(tmp_path)
    process = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert process.returncode == 0, process.stderr
    known = {"schema": True, "reference": True, "module": True, "called": "quantile share 1.0", "torch": False}
    assert json.loads(process.stdout) == known


def test_an_in_filler_of_two_files_fills(tmp_path, monkeypatch):
    write_two_files(tmp_path)
    for package in (pipeline.infill, declared):
        folder = tmp_path.joinpath(*package.__name__.split("."))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    declared.heuristics.cache_clear()
    images = torch.arange(8.0).view(2, 1, 2, 2).expand(2, 3, 2, 2) / 8
    keep = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
    try:
        filled = open_infill(CHOSEN, {})(images, keep)[:, 0].tolist()
    finally:
        declared.heuristics.cache_clear()
        for module in ("quantile", "declared.quantile"):
            sys.modules.pop(f"pipeline.infill.{module}", None)
    assert filled == [[[0.125, 0.125], [0.125, 0.125]], [[0.0, 0.0], [0.0, 0.0]]]
