"""Causes in words: found by comparing what stands with the study and the code as they are now."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import why as why_module
from pipeline.commands.why import Planned, changed_options, changed_params, explained, listing, planned_jobs, reasons_in
from pipeline.costs import Stopwatch
from pipeline.fingerprint import ROOT
from pipeline.stages.common import costs_file, provenance
from pipeline.study import Study
from pipeline.study.plan import Plan
from pipeline.tables import write_table

SAID = """
Building DAG of jobs...
Job stats:
job         count
--------  -------
saliency        1

[Tue Nov 24 02:50:49 2026]
rule saliency:
    input: results/studies/mine/tables/images/sample/part-000.parquet, my photos.py
    output: results/studies/mine/tables/saliency/saliency/first/part-000.parquet
    log: results/studies/mine/logs/saliency/first-000.log
    jobid: 1
    reason: Updated input files: my photos.py; Set of input files has changed since last execution; \
Params have changed since last execution: Union of exclusive params before and now across all output: \
before: '{"note":"a, \\'b\\'; now: c"}',3 now: '{"note":"d"}',5 
    wildcards: classifier=first, shard=000
    resources: tmpdir=/tmp, mem_mb=1000
[Tue Nov 24 02:50:49 2026]
localrule all:
    input: results/studies/mine/report/index.html
    jobid: 0
    reason: Input files updated by another job: results/studies/mine/report/index.html
    resources: tmpdir=/tmp
Reasons:
    (check individual jobs above for details)
"""


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


def job(rule: str, output: str, inputs=(), said: str = "", **wildcards: str) -> Planned:
    return Planned(rule, tuple(inputs), (output,), wildcards, reasons_in(said))


def write_metrics(plan: Plan, options: dict | None = None, code: str | None = None, modules: dict | None = None) -> str:
    """The table of metrics as a run would have left it, save for some of its options, its code or its modules."""
    told = json.loads(plan.options("metrics")) | (options or {})
    path = Path(plan.table("metrics"))
    write_table(path, "metrics", [], provenance("metrics", told, code or plan.code("metrics"), {}))
    import pipeline.stages.metrics  # noqa: F401  the job that wrote the table had imported it

    row = Stopwatch().row("metrics", study="mine", part="metrics")
    row["modules"].update(modules or {})
    write_table(costs_file("mine", path), "costs", [row], {"stage": "metrics"})
    return str(path)


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


def test_the_jobs_of_a_dry_run_have_their_files_wildcards_and_reasons():
    (planned,) = planned_jobs(SAID)
    assert (planned.rule, planned.who) == ("saliency", "first") and planned.wildcards["shard"] == "000"
    assert planned.inputs == ("results/studies/mine/tables/images/sample/part-000.parquet", "my photos.py")
    assert planned.outputs == ("results/studies/mine/tables/saliency/saliency/first/part-000.parquet",)
    assert planned.reasons[why_module.UPDATED] == "my photos.py"
    assert set(planned.reasons) == {why_module.UPDATED, why_module.FILES, why_module.PARAMS}


def test_params_come_back_as_the_values_that_they_are():
    (planned,) = planned_jobs(SAID)
    before, now = changed_params(planned.reasons[why_module.PARAMS])
    assert before == ["""{"note":"a, 'b'; now: c"}""", 3] and now == ['{"note":"d"}', 5]
    assert changed_params("x: before: <nothing exclusive> now: 'a' ") == ([], ["a"])
    assert changed_params("") == ([], [])


def test_what_was_never_made_does_not_exist_yet(plan):
    jobs = [job("predict", plan.part("predictions", "predict", shard), shard=shard) for shard in ("000", "001")]
    jobs.append(job("report", plan.page, inputs=jobs[0].outputs))
    assert explained(jobs, plan) == [
        "predict, parts 000 and 001: its table does not exist yet",
        "report: its page does not exist yet",
    ]


def test_an_option_is_compared_with_the_one_that_the_table_carries(plan):
    path = write_metrics(plan, {"confidence": 0.9, "oracles": ["judge"]})
    assert explained([job("metrics", path)], plan) == [
        "metrics: the option confidence is 0.9 in the table and 0.95 in the study",
        'metrics: the option oracles is ["judge"] in the table and [] in the study',
    ]


def test_modules_are_compared_with_those_that_the_job_noted(plan):
    path = write_metrics(
        plan,
        code="other",
        modules={"pipeline.metrics.statistics": "0", "pipeline.files": "0", "pipeline.explain.fido": "0"},
    )
    assert explained([job("metrics", path)], plan) == [
        "metrics: the code of pipeline.files and pipeline.metrics.statistics changed"
    ]


def test_without_a_note_of_its_modules_the_code_as_a_whole_is_told(plan):
    path = write_metrics(plan, code="other")
    costs_file("mine", Path(path)).unlink()
    assert explained([job("metrics", path)], plan) == ["metrics: its code changed"]


def test_a_table_that_follows_from_the_study_has_no_cause_but_its_inputs(plan):
    path = write_metrics(plan)
    scores = job("scores", plan.table("scores"))
    assert explained([scores, job("metrics", path, inputs=scores.outputs)], plan)[1:] == [
        "metrics: its input scores will be made anew"
    ]


def test_a_table_that_was_made_from_what_no_longer_stands_names_its_inputs(plan):
    path = write_metrics(plan)
    scores = Path(plan.table("scores"))
    write_table(scores, "scores", [], provenance("score", json.loads(plan.options("score")), plan.code("score"), {}))
    assert explained([job("metrics", path)], plan) == ["metrics: it was made from other tables of scores"]
    images = Path(plan.part("images", "sample", "000"))
    told = provenance(
        "sample", json.loads(plan.options("sample")), plan.code("sample"), {}, files="3 files, 9 bytes, x"
    )
    write_table(images, "images", [], told)
    assert explained([job("sample", str(images))], plan) == ["sample: its dataset had 3 files, 9 bytes and has none"]


def test_a_page_that_follows_from_another_title_or_template_says_so(plan):
    page = Path(plan.page)
    page.parent.mkdir(parents=True)
    page.touch()
    import pipeline.stages.report  # noqa: F401

    write_table(costs_file("mine", page), "costs", [Stopwatch().row("report", study="mine")], {"stage": "report"})
    title = {**json.loads(plan.options("report")), "title": "Old"}
    params = "Params have changed since last execution: Union: before: {} now: {}"
    said = params.format(repr(json.dumps(title)), repr(plan.options("report")))
    assert explained([job("report", str(page), said=said)], plan) == [
        "report: the option title is Old in the page and not set in the study"
    ]
    said = params.format(repr("0" * 64), repr("1" * 64))
    assert explained([job("report", str(page), said=said)], plan) == ["report: a template of the page changed"]


def test_files_that_changed_are_named_together(plan):
    image = Path(plan.part("images", "sample", "000"))
    write_table(image, "images", [], provenance("sample", json.loads(plan.options("sample")), plan.code("sample"), {}))
    said = "Updated input files: photos/a.png, photos/b.png"
    assert explained([job("sample", str(image), said=said)], plan) == [
        "sample: the files photos/a.png and photos/b.png changed"
    ]


def test_a_long_list_ends_with_how_many_more_there_are():
    assert listing(["a"]) == "a" and listing(["a", "b", "c"]) == "a, b and c"
    assert listing([str(number) for number in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"


def test_asking_why_imports_no_torch():
    program = "import sys, pipeline.commands.why; print('torch' in sys.modules, 'pyarrow' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert said.stdout.split() == ["False", "True"]
