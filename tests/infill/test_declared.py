"""An in-filler of two files, as docs/extending.md adds one."""

import json
import shutil
import subprocess
import sys

from tests.guide import ROOT, follow

ADDED = """
import json, sys
from pipeline.study import Study
from pipeline.workflow.plan import Plan
from pipeline.commands.reference import reference, schema_text

chosen = {"infill": "quantile", "share": 1.0}
plan = Plan(Study.model_validate({
    "study": "mine",
    "dataset": {"world": "portraits", "size": 32, "rows": 3},
    "classifiers": {"net": {"timm": "resnet18", "classes": ["a", "b"], "task": "smile"}},
    "saliency": {"map": {"method": "fido", "infill": chosen}},
}))
found = {
    "schema": "Quantile" in json.loads(schema_text())["$defs"],
    "reference": "## infill: quantile" in reference() and "infill: {infill: quantile, share: 0.9}" in reference(),
    "module": "pipeline.infill.quantile" in plan.modules("saliency"),
    "called": plan.study.saliency["map"].filled_in,
    "torch": "torch" in sys.modules,
}
import torch
from pipeline.infill.file import open_infill
images = torch.arange(8.0).view(2, 1, 2, 2).expand(2, 3, 2, 2) / 8
keep = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]], [[[0.0, 0.0], [0.0, 0.0]]]])
print(json.dumps({**found, "filled": open_infill(chosen, {})(images, keep)[:, 0].tolist()}))
"""


def test_an_in_filler_of_two_files_is_in_schema_reference_and_plan_and_fills(tmp_path):
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    added = follow("Add an in-filler", tmp_path)
    assert added == ["pipeline/infill/declared/quantile.py", "pipeline/infill/quantile.py"]
    process = subprocess.run([sys.executable, "-c", ADDED], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == {
        "schema": True,
        "reference": True,
        "module": True,
        "called": "quantile share 1.0",
        "torch": False,
        "filled": [[[0.125, 0.125], [0.125, 0.125]], [[0.0, 0.0], [0.0, 0.0]]],
    }
