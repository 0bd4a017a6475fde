"""Batches of few rows. A stage fills up its last batch, which in a tiny study is nearly all of its work."""

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.workflow import stages

ROWS = 8


def batch_small(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Have stages that run in this process batch few rows: those of these names, or all."""
    for name in names or stages():
        import_module(f"pipeline.stages.{name}")
    for name, module in list(sys.modules.items()):
        if name.startswith("pipeline.stages.") and hasattr(module, "BATCH"):
            patch.setattr(module, "BATCH", ROWS)


def write_small(folder: Path) -> None:
    """Have the stages in a copy of the project batch few rows."""
    for file in folder.glob("pipeline/stages/*.py"):
        text = file.read_text(encoding="utf-8")
        if text != (small := re.sub(r"(?m)^BATCH = \d+", f"BATCH = {ROWS}", text)):
            file.write_text(small, encoding="utf-8")
