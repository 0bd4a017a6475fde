"""Causes in words: found by comparing what stands with the study and the code as they are now."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.commands import why as why_module
from pipeline.commands.why import changed_options, explained, listing, why
from pipeline.costs import Stopwatch
from pipeline.fingerprint import ROOT
from pipeline.section import Section
from pipeline.stages.common import costs_file, provenance
from pipeline.study import Study
from pipeline.tables import write_table
from pipeline.workflow.base import Job
from pipeline.workflow.plan import Plan


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    """A study in an empty folder."""
    monkeypatch.chdir(tmp_path)
    study = {
        "study": "mine",
        "dataset": {"world": "shapes", "size": 32, "rows": 4},
        "shard_rows": 2,
        "classifiers": {"first": {"onnx": "first.onnx", "classes": ["a", "b"]}},
    }
    return Plan(Study.model_validate(study))


def write_metrics(plan: Plan, options: dict | None = None, code: str | None = None, modules: dict | None = None) -> str:
    """The table of metrics as a run would have left it, save for some of its options, its code or its modules."""
    told = plan.chosen("metrics").model_copy(update=options)
    path = Path(plan.table("metrics"))
    write_table(path, "metrics", [], provenance("metrics", told, code or plan.code("metrics"), {}))
    import pipeline.stages.metrics  # noqa: F401  the job that wrote the table had imported it

    row = Stopwatch().row("metrics", study="mine", part="metrics")
    row["modules"].update(modules or {})
    write_table(costs_file("mine", path), "costs", [row], {"stage": "metrics"})
    return str(path)


def job_of(plan: Plan, stage: str) -> Job:
    return next(plan.jobs(stage))


def test_what_was_never_made_does_not_exist_yet(plan):
    assert explained([*plan.jobs("predict"), *plan.jobs("report")]) == [
        "predict, parts 000 and 001: its table does not exist yet",
        "report: its page does not exist yet",
    ]


def test_an_option_is_compared_with_the_one_that_the_table_carries(plan):
    write_metrics(plan, {"confidence": 0.9, "bootstrap": 500})
    assert explained([job_of(plan, "metrics")]) == [
        "metrics: the option bootstrap is 500 in the table and 2000 in the study",
        "metrics: the option confidence is 0.9 in the table and 0.95 in the study",
    ]


def test_modules_are_compared_with_those_that_the_job_noted(plan):
    write_metrics(
        plan,
        code="other",
        modules={"pipeline.metrics.statistics": "0", "pipeline.files": "0", "pipeline.explain.fido": "0"},
    )
    assert explained([job_of(plan, "metrics")]) == [
        "metrics: the code of pipeline.files and pipeline.metrics.statistics changed"
    ]


def test_without_a_note_of_its_modules_the_code_as_a_whole_is_told(plan):
    path = write_metrics(plan, code="other")
    costs_file("mine", Path(path)).unlink()
    assert explained([job_of(plan, "metrics")]) == ["metrics: its code changed"]


def test_a_table_that_follows_from_the_study_has_no_cause_but_its_inputs(plan):
    write_metrics(plan)
    assert explained([job_of(plan, "score"), job_of(plan, "metrics")])[1:] == [
        "metrics: its input scores will be made anew"
    ]


def test_a_table_that_was_made_from_what_no_longer_stands_names_its_inputs(plan):
    write_metrics(plan)
    scores = Path(plan.table("scores"))
    write_table(scores, "scores", [], provenance("score", plan.chosen("score"), plan.code("score"), {}))
    assert explained([job_of(plan, "metrics")]) == ["metrics: it was made from other tables of scores"]


def write_images(plan: Plan, files: str = "") -> list[Path]:
    """The parts of the images without rows, as if made from a dataset of these files."""
    parts = list(map(Path, plan.parts("images")))
    told = provenance("sample", plan.chosen("sample"), plan.code("sample"), {}, files=files)
    for part in parts:
        write_table(part, "images", [], told)
    return parts


def test_files_of_a_dataset_that_are_more_or_other_ones_are_told(plan):
    write_images(plan, "3 files, 9 bytes, x")
    assert explained([job_of(plan, "sample")]) == ["sample: its dataset had 3 files, 9 bytes and has none"]


def test_files_that_are_newer_than_the_images_are_named(plan, capsys):
    Path("photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(f"photos/{name}.png")
    values = {**plan.study.model_dump(exclude_unset=True), "dataset": {"folder": "photos", "size": 32, "rows": 2}}
    Path("mine.yaml").write_text(json.dumps(values))
    photos = Plan(Study.model_validate(values))
    for part in write_images(photos, photos.sizes(photos.dataset_files())):
        os.utime(part, (0, 0))
    why("mine.yaml")
    said = capsys.readouterr().out.splitlines()
    assert not any(line.startswith("sample:") for line in said)
    another = "sample runs, too, where the content of a file is another"
    assert said[-1] == f"{another}: photos/a.png and photos/b.png, newer than the images."


def write_page(plan: Plan, options: Section, code: str) -> None:
    """A page that follows from these options and this code."""
    import pipeline.stages.report  # noqa: F401  the job that wrote it had imported it

    page, told = Path(plan.page), provenance("report", options, code, {})
    page.parent.mkdir(parents=True)
    page.write_text(f'<script type="application/json" id="follows-from">{json.dumps(told)}</script>')
    write_table(costs_file("mine", page), "costs", [Stopwatch().row("report", study="mine")], {"stage": "report"})


def test_a_page_that_follows_from_another_title_and_other_oracles_says_so(plan):
    chosen = plan.chosen("report")
    others = {"title": "Old", "roles": {**chosen.roles, "oracles": ["judge"]}}
    write_page(plan, chosen.model_copy(update=others), plan.code("report"))
    assert explained([job_of(plan, "report")]) == [
        'report: the option roles.oracles is ["judge"] in the page and [] in the study',
        "report: the option title is Old in the page and not set in the study",
    ]


def test_a_page_whose_modules_are_the_same_follows_from_another_template(plan):
    write_page(plan, plan.chosen("report"), "another")
    assert explained([job_of(plan, "report")]) == ["report: a template of the page changed"]


def test_a_file_that_carries_nothing_is_told(plan):
    for part in plan.parts("images"):
        Path(part).parent.mkdir(parents=True, exist_ok=True)
        Path(part).write_bytes(b"PAR1")
    assert explained([job_of(plan, "sample")]) == ["sample: it is cut off, or nothing tells how it was made"]


def test_options_that_differ_are_told_by_their_path_with_both_values():
    before = {"methods": {"fido": {"steps": 120, "masks": 4}, "lime": {}}, "seed": 1, "infills": ["mean"]}
    now = {"methods": {"fido": {"steps": 60, "masks": 4}, "occlusion": {}}, "seed": 1, "infills": ["mean", "blur"]}
    nothing = why_module.NOTHING
    assert list(changed_options(before, now)) == [
        ("methods.fido.steps", 120, 60),
        ("methods.lime", {}, nothing),
        ("methods.occlusion", nothing, {}),
        ("infills", ["mean"], ["mean", "blur"]),
    ]
    assert list(changed_options(before, before)) == []
    assert list(changed_options({"size": None}, {"size": 0})) == [("size", None, 0)]


def test_a_long_list_ends_with_how_many_more_there_are():
    assert listing(["a"]) == "a" and listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(number) for number in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"


def test_asking_why_imports_no_torch():
    program = "import sys, pipeline.commands.why; print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.split() == ["False", "True"]
