"""What reruns and what does not: each promise on real runs, and on dry runs where what would run is enough to know.

One copy of the workflow goes through a sequence of changes; a step tells which rules ran and what they computed.
"""

import contextlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from pipeline.fingerprint import module_digests
from pipeline.study import load_study
from pipeline.tables import read_table
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from tests.workflow.conftest import PHOTOS, SMALL, TINY, Workflow, save_noise

STAGES_RUN = [name for name, stage in stages().items() if not stage.trains]  # the study trains nothing
BESIDE = ("pipeline.methods.", "pipeline.infill.declared.")  # declarations decide nothing
KEEP_NO_ROWS = {"sample", "intervene"}  # images are rendered again sooner than looked up
FROM_SALIENCY = {"saliency", "score_saliency", "metrics", "report"}
FROM_COUNTERFACTUALS = {"counterfactuals", "judge", "score_counterfactuals", "score_directions", "metrics", "report"}
ACCUSING = {"accuse", "score_accusations"}  # where the truth is known
EDIT = "\nEDITED = True\n"


@dataclass(frozen=True)
class Step:
    """One run: the rules of its jobs, the rows computed by stage, the rows new to the store by (stage, algorithm)."""

    rules: list[str]
    computed: Counter[str]
    stored: Counter[tuple[str, str]]
    why: str = ""


def asked(workflow: Workflow, study: str, *arguments: str, **options: str):
    """Run Snakemake on a study, which must succeed."""
    process = workflow.run(study, *arguments, **options)
    assert process.returncode == 0, process.stderr + process.stdout
    return process


def planned(workflow: Workflow, study: str = "tiny", **options: str) -> list[str]:
    """The rules of the jobs that would run, each once."""
    return list(dict.fromkeys(workflow.rules(asked(workflow, study, "--dry-run", **options))))


def why(workflow: Workflow, study: str = "tiny") -> str:
    """What `make why` says."""
    process = workflow.call("-m", "pipeline", "why", "--study", study)
    assert process.returncode == 0, process.stderr
    return process.stdout


def run(workflow: Workflow, study: str = "tiny", why: str = "", **variables: str) -> Step:
    """Run a study and tell what that computed."""
    costs = workflow.results(study) / "costs"
    for file in costs.glob("*.parquet"):
        file.unlink()
    before = stored(workflow)
    process = asked(workflow, study, **variables)
    return Step(workflow.rules(process), computed(workflow, study), stored(workflow) - before, why)


def computed(workflow: Workflow, study: str) -> Counter[str]:
    """Rows that the jobs of a study computed, by stage."""
    rows = Counter()
    for row in read_table(sorted(workflow.results(study).glob("costs/*.parquet")), "costs").to_pylist():
        rows[row["stage"]] += row["rows_computed"]
    return +rows


def stored(workflow: Workflow) -> Counter[tuple[str, str]]:
    """Rows in the row store by stage and algorithm."""
    rows = Counter()
    for file in workflow.folder.glob("results/rows/*/*/*.parquet"):
        algorithm = file.parent.name.rpartition("-")[0]
        rows[file.parent.parent.name, algorithm] += pyarrow.parquet.read_metadata(file).num_rows
    return rows


def after(stage: str, arrows: list[tuple[str, str]]) -> set[str]:
    """A stage and all that depends on it, directly or not."""
    reached = {stage}
    while more := {end for start, end in arrows if start in reached} - reached:
        reached |= more
    return reached - {"all"}


@contextlib.contextmanager
def edited(*files: Path) -> Iterator[None]:
    """Append a statement to modules for the time of a block."""
    before = {file: file.read_bytes() for file in files}
    for file, source in before.items():
        file.write_bytes(source + EDIT.encode())
    try:
        yield
    finally:
        for file, source in before.items():
            file.write_bytes(source)


@contextlib.contextmanager
def replaced(workflow: Workflow, **sections: Any) -> Iterator[None]:
    """Replace sections of the study `tiny` for the time of a block."""
    study = workflow.read_study("tiny")
    workflow.write_study({**study, **sections})
    try:
        yield
    finally:
        workflow.write_study(study)


def change_every_comment(workflow: Workflow) -> int:
    """Change the docstrings of all modules and append a comment to each; returns how many docstrings."""
    changed = 0
    for file in workflow.folder.glob("pipeline/**/*.py"):
        text, count = re.subn(r'^( *""")(?=\w)', r"\1Said otherwise. ", file.read_text("utf-8"), flags=re.MULTILINE)
        file.write_text(text + "\n# A comment.\n", "utf-8")
        changed += count
    return changed


def touch_every_file(workflow: Workflow) -> int:
    """Make every file as new as can be, results too; returns how many."""
    touched = 0
    for root, folders, names in os.walk(workflow.folder):
        folders[:] = [name for name in folders if name not in (".snakemake", "__pycache__")]
        for file in (Path(root, name) for name in names):
            os.utime(file)
            touched += 1
    return touched


@pytest.fixture(scope="module")
def finished(new_finished) -> Workflow:
    """The study `tiny` after its run; tests leave it as they find it, up to date."""
    return new_finished("reruns")


@pytest.fixture(scope="module")
def arrows(finished) -> list[tuple[str, str]]:
    """Which rule takes its input from which, as Snakemake draws them."""
    drawn = asked(finished, "tiny", "--rulegraph").stdout
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', drawn, re.MULTILINE))
    return [(names[start], names[end]) for start, end in re.findall(r"^\s*(\d+) -> (\d+)$", drawn, re.MULTILINE)]


# What runs nothing


def test_touched_files_changed_comments_and_another_profile_or_device_rerun_nothing(finished):
    sources = {file: file.read_bytes() for file in finished.folder.glob("pipeline/**/*.py")}
    assert change_every_comment(finished) > 300
    assert touch_every_file(finished) > 100
    assert planned(finished, profile="gpu", COUNTERFACTORY_DEVICE="cuda") == []
    assert planned(finished, profile="slurm", CUDA_VISIBLE_DEVICES="1") == []
    for file, source in sources.items():
        file.write_bytes(source)


def test_another_title_writes_the_report_again_and_nothing_else(finished):
    with replaced(finished, report={"title": "Another"}):
        assert planned(finished) == ["report"]


def test_results_do_not_stand_for_a_network_whose_file_does_not_exist(finished):
    with replaced(finished, classifiers={"small": {**TINY["classifiers"]["small"], "entry_point": "absent.py:load"}}):
        refused = finished.run("tiny", "--dry-run")
    assert refused.returncode == 1
    sentence = "the network small: absent.py does not exist; set its entry to where the file is."
    assert sentence in refused.stdout + refused.stderr


# What runs when code changes


def test_editing_a_stage_reruns_it_and_what_depends_on_it_alone(finished, arrows):
    with edited(finished.folder / "pipeline" / "stages" / "score_saliency.py"):
        assert set(planned(finished)) == after("score_saliency", arrows)


@pytest.mark.parametrize("stage", STAGES_RUN)
def test_no_stage_runs_the_code_of_another(finished, stage, monkeypatch):
    monkeypatch.chdir(finished.folder)
    reached = set(module_digests(Plan(load_study("tiny")).modules(stage)))
    others = {"judge": {"predict"}}.get(stage, set())  # it asks networks as `predict` does
    assert {each for each in STAGES_RUN if f"pipeline.stages.{each}" in reached} == {stage} | others


def test_the_modules_that_a_job_runs_are_those_that_decide_whether_it_reruns(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    plan = Plan(load_study("tiny"))
    jobs = read_table(sorted(finished.results("tiny").glob("costs/*.parquet")), "costs")
    noted = dict(zip(jobs["stage"].to_pylist(), jobs["modules"].to_pylist(maps_as_pydicts="strict"), strict=True))
    assert set(noted) == set(STAGES_RUN) - {"identify"}  # it keeps no account
    for stage, modules in noted.items():
        imported, deciding = set(modules), set(module_digests(plan.modules(stage)))
        typed = module_digests([f"pipeline.workflow.{stage}"])  # what the types of its options are told by
        beside = {name for name in imported - deciding if name in typed or name.startswith(BESIDE)}
        assert imported - beside == deciding, stage


# What is computed when something changes


@pytest.fixture(scope="module")
def steps(finished) -> dict[str, Step]:
    """What a sequence of changes runs and computes, each on top of those before."""
    study = finished.read_study("tiny")
    methods = study["saliency"]
    taken = {"up to date": Step([], Counter(), Counter(), why(finished))}

    with (finished.folder / "pipeline" / "explain" / "fido.py").open("a") as module:
        module.write(EDIT)
    others = study["counterfactuals"]
    finished.write_study({**study, "counterfactuals": {**others, "pgd": {**others["pgd"], "iterations": 3}}})
    taken["explainer edited, option changed"] = run(finished, why=why(finished))

    for file in finished.folder.glob("pipeline/stages/*.py"):
        smaller = re.sub(r"^(BATCH|STORED_AT_ONCE) = \d+", r"\1 = 2", file.read_text("utf-8"), flags=re.MULTILINE)
        file.write_text(smaller + EDIT, "utf-8")
    renamed = {"fido": methods["fido"], "chance": methods["random"]}
    finished.write_study({**study, "shard_rows": 5, "saliency": renamed})
    taken["nothing new"] = run(finished, COUNTERFACTORY_DEVICE="cpu:0")

    (finished.folder / "other.py").write_text(SMALL.replace("manual_seed(3)", "manual_seed(4)"), "utf-8")
    entry = study["classifiers"]["small"]
    more = {
        "dataset": {**study["dataset"], "rows": 6},
        "explained_rows": 6,
        "classifiers": {"small": entry, "other": {**entry, "entry_point": "other.py:load"}},
        "saliency": {**renamed, "occlusion": {"method": "occlusion"}},
    }
    finished.write_study({**study, "shard_rows": 6, **more})
    taken["more of all"] = run(finished)
    return taken


def test_an_edited_explainer_and_a_changed_option_of_another_compute_the_rows_of_these_methods_alone(steps):
    step = steps["explainer edited, option changed"]
    assert set(step.rules) == FROM_SALIENCY | FROM_COUNTERFACTUALS | ACCUSING
    explained = {key: rows for key, rows in step.stored.items() if key != ("predict", "logits")}
    assert explained == {("saliency", "fido"): 5, ("counterfactuals", "pgd"): 5}
    assert (step.computed["saliency"], step.computed["counterfactuals"]) == (5, 5)


def test_edited_stages_other_batches_and_shards_new_names_and_an_option_set_back_compute_nothing(steps):
    step = steps["nothing new"]
    assert set(step.rules) == set(STAGES_RUN) and step.rules.count("saliency") == 1
    assert set(step.computed) <= KEEP_NO_ROWS
    assert not step.stored


def test_a_new_method_classifier_and_image_compute_the_new_rows_alone(steps, finished):
    step = steps["more of all"]
    tables = finished.results("tiny") / "tables"
    images, changes = (
        read_table(tables / part / "part-000.parquet", name)["image_id"].to_pylist()
        for name, part in (("images", "images/sample"), ("interventions", "interventions/intervene"))
    )
    seen_by_other = len(images) + len(changes)
    seen_anew_by_small = 1 + changes.count(images[-1])
    assert len(images) == 6 and len(set(changes)) == 6
    # The judge sees what is new as `small` does; two classifiers and the judge then judge the others' counterfactuals.
    judged = (3 + 18) + 18 + 18
    assert step.stored == {
        ("predict", "logits"): seen_by_other + 2 * seen_anew_by_small + judged,
        ("saliency", "fido"): 6 + 1,
        ("saliency", "random"): 6 + 1,
        ("saliency", "occlusion"): 6 + 6,
        ("counterfactuals", "dvce"): 6 + 1,
        ("counterfactuals", "pgd"): 6 + 1,
        ("encode", "ddim"): 1,
        ("directions", "gcd"): 9 + 2,  # of the new classifier: around the source, and of one image at two places
        ("transfer", "way"): 6 + 1,
        ("attribute", "bb-lig"): 6 + 1,
    }
    assert step.computed["saliency"] == 7 + 7 + 12
    assert step.computed["predict"] == seen_by_other + 2 * seen_anew_by_small and step.computed["judge"] == judged


def test_why_tells_what_would_run_and_because_of_what(steps):
    assert steps["up to date"].why.startswith("Nothing to do: ")
    lines = steps["explainer edited, option changed"].why.splitlines()
    assert lines[0] == "13 jobs would run."
    assert "saliency of small, parts 000 and 001: the code of pipeline.explain.fido changed" in lines
    assert "score_saliency of small: its input saliency/small will be made anew" in lines
    option = "the option methods.pgd.iterations is 2 in the table and 3 in the study"
    assert f"counterfactuals of small, parts 000 and 001: {option}" in lines


# Own images


@pytest.fixture(scope="module")
def photos(new_finished) -> Workflow:
    """A study of four images in a folder, after its run."""
    workflow = new_finished("photos", "photos")
    assert computed(workflow, "photos") == {"predict": 4, "saliency": 8}
    return workflow


@pytest.fixture(scope="module")
def changed_photo(photos) -> Step:
    """What runs after one of the images became another."""
    save_noise(photos.folder / "photos" / "light" / "c.png", 9)
    return run(photos, "photos", why=why(photos, "photos"))


def test_a_changed_image_computes_its_own_rows_alone(changed_photo):
    assert set(changed_photo.rules) == {"sample", "predict", "saliency", "score", *FROM_SALIENCY}
    assert changed_photo.computed == {"predict": 1, "saliency": 2}


def test_why_names_the_image_that_changed(changed_photo):
    another = "sample runs where the content of a file is another: photos/light/c.png, newer than the images."
    assert changed_photo.why.splitlines() == [another]


def test_an_image_of_another_size_is_noticed_though_it_is_older_than_the_results(photos, changed_photo):
    file = photos.folder / "photos" / "dark" / "a.png"
    before, times = file.read_bytes(), file.stat()
    save_noise(file, 5, side=40)
    os.utime(file, (0, 0))
    assert planned(photos, "photos")[0] == "sample"
    file.write_bytes(before)
    os.utime(file, (times.st_atime, times.st_mtime))


def test_a_changed_study_that_fails_fails_again_though_its_old_report_stands(photos, changed_photo):
    photos.write_study({**PHOTOS, "dataset": {**PHOTOS["dataset"], "rows": 9}})
    for _ in range(2):
        failed = photos.call("-m", "pipeline", "run", "--study", "photos")
        assert failed.returncode == 1 and "has 4 images, but 9 are needed" in failed.stdout + failed.stderr
    assert (photos.results("photos") / "report" / "index.html").exists()
