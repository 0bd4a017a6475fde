"""A stage that is added as docs/extending.md says: its files, and nothing else, make it one like all others."""

import re
import shutil

import numpy as np
import pyarrow.parquet
import pytest
from PIL import Image

from pipeline.tables import read_table
from tests.guide import follow
from tests.workflow.conftest import ROOT, TINY, add_tiny_study

STUDY = {
    "study": "photos",
    "dataset": {"folder": "photos", "size": 32, "rows": 3, "labels": "none", "shares": {"test": 1}},
    "classifiers": TINY["classifiers"],
}


@pytest.fixture(scope="module")
def added(new_workflow):
    """A study of three images, one of them of a single colour, that was run with a stage more."""
    workflow = new_workflow("added")
    add_tiny_study(workflow)
    modules = ["tables/schemas.py", "workflow/contrast.py", "stages/contrast.py"]
    assert follow("Add a stage", workflow.folder) == [*(f"pipeline/{name}" for name in modules), "rules/contrast.smk"]
    (workflow.folder / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    pixels[1] = 7
    for name, image in zip("abc", pixels, strict=True):
        Image.fromarray(image).save(workflow.folder / "photos" / f"{name}.png")
    workflow.write_study(STUDY)
    process = workflow.run("photos")
    assert process.returncode == 0, process.stderr + process.stdout
    assert workflow.rules(process).count("contrast") == 1
    return workflow


def say(workflow, command, *arguments):
    process = workflow.call("-m", "pipeline", command, "--study", "photos", *arguments)
    assert process.returncode == 0, process.stderr + process.stdout
    return process.stdout


def test_an_added_stage_writes_its_table(added):
    parts = sorted(added.results("photos").glob("tables/contrast/contrast/*.parquet"))  # of a table that is new here
    rows = {row["image_id"]: row for part in parts for row in pyarrow.parquet.read_table(part).to_pylist()}
    noise = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    assert rows["a.png"]["deviation"] == pytest.approx(noise[0].std(), rel=1e-6)
    assert (rows["b.png"]["status"], rows["b.png"]["reason"]) == ("failed", "all pixels of the image are alike")


def test_an_added_stage_is_in_plan_store_help_report_and_documentation(added):
    assert re.search(r"contrast +1 +0 +3 +0 ", say(added, "plan"))
    said = say(added, "store")
    assert re.search(r"^ contrast/deviation-\w+ ", said, re.MULTILINE) and "No study needs 0 of 2 stores" in said
    assert "Measure how far the pixels of each image lie apart." in added.call("-m", "pipeline", "--help").stdout
    assert '<li id="step-contrast"><b>contrast</b>: Measure how far' in added.page("photos")
    shutil.copytree(ROOT / "docs", added.folder / "docs")
    assert added.call("-m", "pipeline.commands.reference").returncode == 0
    assert "| `contrast` | images | contrast |" in (added.folder / "docs" / "how-it-works.md").read_text()


def test_why_tells_what_an_edited_stage_makes_run_and_retry_computes_its_failed_rows_alone(added):
    assert say(added, "why").startswith("Nothing to do: ")
    module = added.folder / "pipeline" / "stages" / "contrast.py"
    before = module.read_text(encoding="utf-8")
    module.write_text(before + "\nEDITED = True\n", encoding="utf-8")
    assert say(added, "why").splitlines() == [
        "1 job would run.",
        "contrast, part 000: the code of pipeline.stages.contrast changed",
    ]
    module.write_text(before, encoding="utf-8")
    said = say(added, "retry", "--profile", "laptop")
    assert "contrast: 1 failed row forgotten (all pixels of the image are alike)" in said
    (cost,) = added.results("photos").glob("costs/*contrast*")
    assert read_table(cost, "costs")["rows_computed"].to_pylist() == [1]
