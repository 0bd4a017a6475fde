"""Files that do not follow from their study are found by what they carry, whatever anybody remembers of them."""

import json
import os
import shutil
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import save_file

from pipeline.commands import outdated as module
from pipeline.commands.outdated import carried
from pipeline.commands.why import explained
from pipeline.study import Study, load_study
from pipeline.tables import read_table, write_table
from pipeline.workflow.base import Job
from pipeline.workflow.plan import Plan
from tests.commands.stages_in_process import JUDGING, STUDY, run_stages, stages, working_in, write_tiny

QUICK = {"pgd": {"method": "pgd", "iterations": 2}}  # of the study's counterfactuals
FIDO = STUDY["saliency"]["fido"]
CHANGED = ["saliency", "counterfactuals", "score_saliency", "judge", "accuse", "score_counterfactuals"]
CHANGED += ["score_accusations", "metrics", "report"]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder where the study `tiny` has been computed, with a network that judges."""
    with working_in(tmp_path_factory.mktemp("computed")) as folder:
        run_stages(write_tiny(counterfactuals=QUICK, generators={}, **JUDGING))
    return folder


@pytest.fixture
def plan(computed, tmp_path, monkeypatch) -> Plan:
    """The study in a copy of that folder."""
    shutil.copytree(computed, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COUNTERFACTORY_DEVICE", "cpu")
    return Plan(load_study("tiny"))


def changed(**sections) -> Plan:
    """The study with other sections."""
    path = Path("studies/tiny.yaml")
    values = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump({**values, **sections}))
    return Plan(load_study("tiny"))


def outdated(plan: Plan) -> set[str]:
    """The files that would be made."""
    return {file for job in module.outdated(plan) for file in job.outputs}


def jobs_to_run(plan: Plan) -> list[str]:
    """The stages that would run, each once."""
    return list(dict.fromkeys(job.stage.name for job in module.outdated(plan)))


def job_of(plan: Plan, stage: str) -> Job:
    return next(plan.jobs(stage))


def after(plan: Plan, *files: str) -> set[str]:
    """Files of jobs, and all that is made from them, directly or not."""
    reached = set(files)
    for job in plan.all_jobs():
        if reached.intersection([*module.taken(job), *job.outputs]):
            reached.update(job.outputs)
    return reached


def test_the_jobs_write_every_file_of_the_study_once(plan):
    assert sorted(file for job in plan.all_jobs() for file in job.outputs) == sorted(plan.outputs())


def test_what_a_run_has_made_follows_from_its_study_also_when_everything_is_touched(plan):
    assert outdated(plan) == set()
    for path in Path().rglob("*"):
        os.utime(path)
    assert outdated(plan) == set()


def test_a_file_that_is_missing_is_made_and_so_is_what_follows_from_it(plan):
    for job in plan.all_jobs():
        kept = Path(job.outputs[0]).rename("kept")
        assert outdated(plan) == after(plan, *job.outputs)
        kept.rename(job.outputs[0])
    assert outdated(plan) == set()


@pytest.mark.parametrize(
    ("sections", "first"),
    [
        ({"dataset": {**STUDY["dataset"], "rows": 6}}, ["sample"]),
        ({"classifiers": {"small": {**STUDY["classifiers"]["small"], "temperature": 3.0}}}, ["identify", "predict"]),
        ({"saliency": {**STUDY["saliency"], "fido": {**FIDO, "steps": 4}}}, ["saliency", "score_saliency", "accuse"]),
        ({"explained_rows": 4}, ["saliency", "counterfactuals"]),
        ({"counterfactuals": {"pgd": {**QUICK["pgd"], "iterations": 3}}}, ["counterfactuals", "judge"]),
        ({"evaluation": {"infills": ["mean"]}}, ["score_saliency", "metrics", "report"]),
        ({"statistics": {"confidence": 0.9}}, ["score_counterfactuals", "score_accusations", "metrics"]),
        ({"report": {"title": "Another"}}, ["report"]),
    ],
    ids=lambda value: next(iter(value)),
)
def test_a_changed_study_makes_what_follows_from_the_change_and_nothing_before_it(plan, sections, first):
    assert jobs_to_run(changed(**sections))[: len(first)] == first


def test_an_option_that_is_set_back_leaves_what_stands_as_it_is(plan):
    assert outdated(changed(explained_rows=4))
    assert outdated(changed(explained_rows=5)) == set()


def test_edited_code_makes_the_tables_of_its_stages_anew(plan, monkeypatch):
    edited = Plan.code
    monkeypatch.setattr(Plan, "code", lambda plan, stage: edited(plan, stage) + "!" * (stage == "judge"))
    assert outdated(plan) == after(plan, *plan.parts("predictions", "judge"))


def test_a_table_of_another_part_is_not_taken_for_this_one(plan):
    for stage in ("intervene", "predict", "saliency", "counterfactuals", "judge"):
        first, second = [job.outputs[0] for job in plan.jobs(stage)]
        shutil.copyfile(first, "kept")
        shutil.copyfile(second, first)
        assert outdated(plan) == after(plan, first), stage
        shutil.copyfile("kept", first)
    assert outdated(plan) == set()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"<html></html>"])
def test_a_file_that_carries_nothing_is_made_anew(plan, content):
    for file in plan.outputs():
        shutil.copyfile(file, "kept")
        Path(file).write_bytes(content)
        assert outdated(plan) == after(plan, file)
        shutil.copyfile("kept", file)


def test_what_was_made_from_other_rows_is_made_anew_though_options_and_code_are_the_same(plan):
    (path, *_) = plan.parts("predictions", "predict")
    rows, told = read_table(path, "predictions").to_pylist(), carried(Path(path))
    write_table(Path(path), "predictions", rows, told)
    assert outdated(plan) == set()  # equal work gives equal bytes
    rows[0]["confidence"] = 0.5
    write_table(Path(path), "predictions", rows, told)
    assert outdated(plan) == after(plan, path) - {path}


def test_weights_of_the_same_size_and_an_older_date_are_noticed(plan):
    before = Path("small.py").stat()
    Path("small.py").write_text(Path("small.py").read_text().replace("manual_seed(3)", "manual_seed(4)"))
    os.utime("small.py", ns=(before.st_atime_ns - 10**12, before.st_mtime_ns - 10**12))
    assert Path("small.py").stat().st_size == before.st_size
    assert outdated(plan) == after(plan, plan.identity("small"), plan.identity("judge"))


def test_two_folders_that_share_results_do_not_take_tables_of_the_other(plan, tmp_path, monkeypatch):
    """One has other weights under the same path, the other another option; each sees what the other left."""
    there = tmp_path / "there"
    there.mkdir()
    (there / "results").symlink_to(Path("results").absolute())
    shutil.copytree("studies", there / "studies")
    for name in ("small.py", "adm.safetensors"):
        shutil.copy2(name, there)
    monkeypatch.chdir(there)
    other = Plan(load_study("tiny"))
    assert outdated(other) == set()
    Path("small.py").write_text(Path("small.py").read_text().replace("manual_seed(3)", "manual_seed(4)"))
    assert "identify" in jobs_to_run(other)
    for job, run in zip(other.all_jobs(), stages(other), strict=True):
        if job.stage.name in ("identify", "sample", "intervene", "predict") and job.shard in (None, "000"):
            run()
    monkeypatch.chdir(tmp_path / "here")
    assert jobs_to_run(plan)[:2] == ["identify", "predict"]


def test_a_change_that_is_cut_off_at_every_stage_ends_as_if_the_study_had_been_computed_from_nothing(plan):
    plan = changed(explained_rows=4, saliency={"random": {"method": "random"}})
    shutil.move(plan.folder, "before")
    run_stages(plan)
    expected = files_of(plan)
    shutil.rmtree(plan.folder)
    shutil.move("before", plan.folder)
    assert jobs_to_run(plan) == CHANGED
    for stage in CHANGED:
        run_outdated(plan, until=stage)
        assert jobs_to_run(plan) == CHANGED[CHANGED.index(stage) :]
    run_outdated(plan)
    assert files_of(plan) == expected and outdated(plan) == set()


def run_outdated(plan: Plan, until: str | None = None) -> None:
    """Run the jobs whose files are outdated, each after its files were removed, as Snakemake does.

    until: the stage of the job that is killed: its files are gone, and nothing comes after it.
    """
    files = outdated(plan)
    for job, run in zip(plan.all_jobs(), stages(plan), strict=True):
        if not files.isdisjoint(job.outputs):
            for file in job.outputs:
                Path(file).unlink(missing_ok=True)
            if job.stage.name == until:
                return
            run()


def files_of(plan: Plan) -> dict[str, bytes]:
    return {file: Path(file).read_bytes() for file in plan.outputs()}


RECIPE = {"dataset": {"world": "shapes"}, "rows": 40, "tasks": ["shape"], "architecture": "resnet18", "steps": 5}
TRAINED = {
    "study": "trained",
    "dataset": {"world": "shapes", "size": 32, "rows": 3},
    "classifiers": {"mine": {"trained": "recipe"}},
    "training": {"recipe": RECIPE},
}


@pytest.mark.parametrize(
    ("changed", "waits"),
    [({}, False), ({"steps": 6}, True), ({"gone": 1}, True), (None, False)],
    ids=["same", "other", "unknown", "untold"],
)
def test_weights_of_another_recipe_are_trained_again_and_those_that_do_not_tell_stand(
    changed, waits, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    plan = Plan(Study.model_validate(TRAINED))
    assert next(iter(module.outdated(plan))).stage.name == "train"
    training = None if changed is None else json.loads(plan.options("train", "recipe")) | changed
    told = {"architecture": "resnet18", "options": {}, "metadata": {"training": training} if training else {}}
    weights, card = map(Path, plan.job("train", network="recipe").outputs)
    weights.parent.mkdir(parents=True)
    card.touch()
    save_file({}, weights, {"classifier": json.dumps(told)})
    assert ("train" in jobs_to_run(plan)) == waits
    if changed == {"steps": 6}:
        assert explained(module.outdated(plan))[0] == (
            "train of recipe: the option steps is 6 in the network and 5 in the study"
        )
