"""Whatever is killed, and whenever: the same command goes on, computes no row again and ends with the same tables."""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from pipeline.commands.holder import is_held, read_holder
from pipeline.tables import read_table, unpack
from pipeline.workflow import stages
from tests.small_batches import ROWS
from tests.workflow.conftest import Workflow
from tests.workflow.killed import run_stage
from tests.workflow.preloaded import KILLED

RUN = ["-m", "pipeline", "run", "--study", "tiny", "--profile", "laptop"]
KEPT_WITH = {"judge": "predict"}  # the rows of a stage with those of another
STORING = ("predict", "saliency", "counterfactuals", "judge")
TESTED = [name for name, stage in stages().items() if not stage.trains]  # every stage that the study tiny runs


def environment():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "COUNTERFACTORY_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}


def results(folder):
    """The sha256 of everything that a run made for a reader: tables, identities and page; by path."""
    study = folder / "results" / "studies" / "tiny"
    files = [path for path in study.rglob("*") if path.suffix in (".parquet", ".json", ".html")]
    return {
        str(path.relative_to(study)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
        if "costs" not in path.parts
    }


def assert_whole(folder):
    """Every table and batch of rows that can be seen can be read to its end."""
    for path in (folder / "results").rglob("*.parquet"):
        if not path.name.startswith("."):
            pyarrow.parquet.read_table(path, page_checksum_verification=True)


def rows_computed(folder, arguments):
    """How many rows the job that wrote a file computed, rather than found."""
    study = folder / "results" / "studies" / "tiny"
    part = "-".join((folder / arguments[-1]).relative_to(study).with_suffix("").parts)
    (row,) = read_table(study / "costs" / f"{part}.parquet", "costs").to_pylist()
    return row["rows_computed"]


@pytest.fixture(scope="module")
def finished(new_finished):
    """The workflow and the study tiny, in which a run came to its end."""
    return new_finished("undisturbed")


@pytest.fixture(scope="module")
def undisturbed(finished):
    """Its folder."""
    return finished.folder


@pytest.fixture(scope="module")
def jobs(finished):
    """The arguments of `python -m pipeline` of one job of every stage."""
    planned = finished.run("tiny", "--dry-run", "--forceall", "--printshellcmds")
    lines = re.findall(r"python -m pipeline (.*) 2> ", planned.stdout + planned.stderr)
    every = sorted(map(shlex.split, lines), key=lambda arguments: arguments[-1], reverse=True)
    return {arguments[0]: arguments for arguments in every}


@pytest.fixture
def prepared(undisturbed, jobs, tmp_path):
    """Makes a folder as it is when a job of a stage is to run: its outputs and its rows are not there."""

    def prepare(stage):
        for name in ("small.py", "adm.safetensors", "dae.safetensors"):
            shutil.copy2(undisturbed / name, tmp_path)
        shutil.copytree(undisturbed / "results", tmp_path / "results")
        for output in outputs_of(jobs[stage]):
            (tmp_path / output).unlink()
        shutil.rmtree(tmp_path / "results" / "rows" / KEPT_WITH.get(stage, stage), ignore_errors=True)
        return tmp_path

    return prepare


def outputs_of(arguments):
    """The files after the last option: a rule names what it writes at the end."""
    last = max(index for index, argument in enumerate(arguments) if argument.startswith("--"))
    return arguments[last + 1 :]


def test_every_stage_of_the_study_is_killed_here(jobs):
    assert sorted(jobs) == sorted(TESTED)


@pytest.mark.parametrize(
    ("stage", "moment"),
    [("saliency", "started")] + [(stage, "table") for stage in TESTED] + [(stage, "rows") for stage in STORING],
)
def test_a_stage_that_is_killed_leaves_nothing_torn_and_goes_on_where_it_was(
    stage, moment, undisturbed, jobs, prepared, preloaded
):
    folder = prepared(stage)
    status, said = run_stage(preloaded, folder, jobs[stage], moment)
    assert status == KILLED, said
    assert not (folder / outputs_of(jobs[stage])[-1]).exists()
    assert_whole(folder)
    status, said = run_stage(preloaded, folder, jobs[stage])
    assert status == 0, said
    assert results(folder) == results(undisturbed)
    if stage in STORING and moment != "started":
        asked = rows_computed(undisturbed, jobs[stage])
        # The logits of one network are one batch; two networks predict, two methods explain in each way, one judges.
        lost = asked // 2 if stage != "judge" and moment == "rows" else 0
        assert rows_computed(folder, jobs[stage]) == lost < asked


# The machine lets the job down


def test_a_full_disk_ends_the_job_with_one_sentence_and_leaves_nothing_half_written(prepared, jobs, preloaded):
    folder = prepared("saliency")
    rows = folder / "results" / "rows" / "saliency"
    rows.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(rows)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can make a disk that is full")
    try:
        status, said = run_stage(preloaded, folder, jobs["saliency"])
        assert_whole(folder)
        assert not (folder / jobs["saliency"][-1]).exists()
    finally:
        subprocess.run(["umount", str(rows)], check=True)
    assert status == 2 and "Traceback" not in said
    assert "the disk is full; free some room" in said.splitlines()[-1]


def test_a_file_that_may_not_grow_ends_the_job_and_the_next_one_goes_on(prepared, jobs, undisturbed, preloaded):
    folder = prepared("sample")
    status, said = run_stage(preloaded, folder, jobs["sample"], file_bytes=4096)
    assert status == 2 and "ulimit -f" in said.splitlines()[-1] and "Traceback" not in said
    assert_whole(folder)
    assert not any((folder / output).exists() for output in outputs_of(jobs["sample"]))
    assert run_stage(preloaded, folder, jobs["sample"])[0] == 0
    assert results(folder) == results(undisturbed)


def test_too_little_memory_ends_the_job_with_one_sentence(prepared, jobs, preloaded):
    folder = prepared("saliency")
    (folder / "full").touch()
    status, said = run_stage(preloaded, folder, jobs["saliency"])
    assert status == 2 and said.splitlines()[-1].startswith("there is not enough memory") and "Traceback" not in said
    assert not (folder / jobs["saliency"][-1]).exists()


def test_a_card_with_too_little_memory_gets_smaller_batches_until_they_fit(prepared, jobs, undisturbed, preloaded):
    folder = prepared("saliency")
    (folder / "cramped").write_text(str(ROWS // 2))
    status, said = run_stage(preloaded, folder, jobs["saliency"])
    assert status == 0 and f"{ROWS} rows do not fit" in said and f"going on with {ROWS // 2}" in said
    assert f"{ROWS // 2} rows" not in said
    maps = [read_maps(each / jobs["saliency"][-1]) for each in (folder, undisturbed)]
    assert maps[0].keys() == maps[1].keys()
    for name, drawn in maps[0].items():
        assert drawn == pytest.approx(maps[1][name], abs=1e-4)
    (folder / "cramped").write_text("0")
    (folder / jobs["saliency"][-1]).unlink()
    shutil.rmtree(folder / "results" / "rows" / "saliency")
    status, said = run_stage(preloaded, folder, jobs["saliency"])
    assert status == 2 and said.splitlines()[-1].startswith("one row alone does not fit into the memory")


def read_maps(path):
    return {
        row["row_id"]: unpack("saliency", "map", row["map"], row["shape"])
        for row in read_table(path, "saliency").to_pylist()
    }


# A run is killed


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_tables(undisturbed, jobs, tmp_path, preloaded):
    folder = tmp_path / "killed"
    shutil.copytree(undisturbed, folder, symlinks=True, ignore=shutil.ignore_patterns(".snakemake", "saliency"))
    with begun(folder) as first:
        wait_for(lambda: "saliency small fido" in said(folder), first)
        orphan = stage_process(first.pid)
        os.kill(orphan, signal.SIGSTOP)  # so that it is still there when the next run looks
        holder = read_holder(folder / "results")
        assert holder.process == first.pid and holder.study == "tiny"
        refused = Workflow(folder, preloaded).call(*RUN)
        assert refused.returncode == 2
        assert refused.stderr == (
            f"results/ is held by process {first.pid} on {holder.host}, which runs the study tiny since {holder.since}"
            " UTC; wait until it ends, or stop it and run again\n"
        )
        first.kill()
    assert_whole(folder)
    with begun(folder) as second:
        wait_for(lambda: "waiting for them to end" in said(folder), second)
        assert not (folder / jobs["saliency"][-1]).exists()
        os.kill(orphan, signal.SIGCONT)
        wait_for((folder / jobs["saliency"][-1]).exists, second)
        os.killpg(second.pid, signal.SIGINT)  # as Ctrl-C does
    assert second.returncode not in (0, None)
    assert not is_held(folder / "results")
    assert_whole(folder)
    # What Snakemake knew is gone, and a table of another study stands where a good one is expected.
    shutil.rmtree(folder / ".snakemake")
    part = folder / jobs["saliency"][-1]
    stale = [each for each in undisturbed.glob("results/**/saliency/small/*.parquet") if each.name != part.name]
    shutil.copyfile(stale[0], part)
    last = Workflow(folder, preloaded).call(*RUN)
    assert last.returncode == 0, last.stderr
    assert results(folder) == results(undisturbed)
    assert rows_computed(folder, jobs["saliency"]) == 0


def test_a_changed_study_that_was_killed_is_not_taken_for_finished_when_it_is_set_back(
    undisturbed, jobs, tmp_path, preloaded
):
    folder = tmp_path / "changed"
    shutil.copytree(undisturbed, folder, symlinks=True)
    study = folder / "studies" / "tiny.yaml"
    before = study.read_text(encoding="utf-8")
    study.write_text(before.replace("bootstrap: 100", "bootstrap: 101"), encoding="utf-8")
    with begun(folder, preloaded.python, preloaded.environment()) as run:
        wait_for(lambda: "rule metrics:" in said(folder), run)
        os.killpg(run.pid, signal.SIGKILL)
    study.write_text(before, encoding="utf-8")
    (folder / jobs["judge"][-1]).unlink()  # what is made from it stands
    assert Workflow(folder, preloaded).call(*RUN).returncode == 0
    assert results(folder) == results(undisturbed)


def test_snakemake_called_by_hand_is_refused_too(undisturbed, tmp_path, preloaded):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True, symlinks=True)
    (tmp_path / "results/studies/tiny/report/index.html").unlink()
    code = "from pipeline.commands.holder import *; hold(RESULTS, 'other'); print('ready', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holding:
        assert holding.stdout.readline() == "ready\n"
        refused = Workflow(tmp_path, preloaded).run("tiny")
        holding.kill()
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "Traceback" not in said
    assert said.count(f"results/ is held by process {holding.pid} on") == 1
    assert not (tmp_path / "results/studies/tiny/report/index.html").exists()


def test_rows_that_failed_are_tried_again_by_retry(undisturbed, jobs, tmp_path, preloaded):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True, symlinks=True)
    (tmp_path / jobs["saliency"][-1]).unlink()
    shutil.rmtree(tmp_path / "results" / "rows" / "saliency")
    (tmp_path / "asleep").touch()
    assert run_stage(preloaded, tmp_path, jobs["saliency"])[0] == 0
    (tmp_path / "asleep").unlink()
    failed = [row for row in read_table(tmp_path / jobs["saliency"][-1], "saliency").to_pylist() if row["reason"]]
    assert failed and {row["method"] for row in failed} == {"fido"}
    retried = Workflow(tmp_path, preloaded).call(*[each if each != "run" else "retry" for each in RUN])
    assert retried.returncode == 0, retried.stderr
    number = len(failed)
    assert f"saliency: {number} failed rows forgotten (the classifier is asleep)\n" in retried.stdout
    maps, others = (read_maps(folder / jobs["saliency"][-1]) for folder in (tmp_path, undisturbed))
    assert maps.keys() == others.keys() and all(
        drawn == pytest.approx(others[name], abs=1e-3) for name, drawn in maps.items()
    )
    assert rows_computed(tmp_path, jobs["saliency"]) == number
    idle = Workflow(tmp_path, preloaded).call(*[each if each != "run" else "retry" for each in RUN])
    assert (idle.returncode, idle.stdout) == (0, "No row of the study tiny has failed; there is nothing to retry.\n")


def test_trained_weights_are_not_trained_again_where_snakemake_knows_nothing(new_workflow):
    workflow = new_workflow("trained")
    photographs, weights = workflow.folder / "photographs", workflow.folder / "resources/classifiers/mine.safetensors"
    photographs.mkdir()
    weights.parent.mkdir(parents=True)
    for path in (weights.with_suffix(".md"), photographs / "younger.png"):
        path.write_bytes(b"content")
    with safe_open(workflow.folder / "data" / "classifiers" / "smile-cnn.safetensors", "numpy") as file:
        told = json.loads(file.metadata()["classifier"]) | {"metadata": {}}  # its recipe is another
    save_file({}, weights, {"classifier": json.dumps(told)})
    os.utime(weights, (1.5e9, 1.5e9))
    os.utime(weights.with_suffix(".md"), (1.5e9, 1.5e9))
    dataset = {"folder": "photographs", "size": 32}
    recipe = {"dataset": dataset, "tasks": ["label"], "architecture": "resnet18", "steps": 1}
    study = {"study": "tiny", "dataset": {"world": "shapes", "size": 32, "rows": 3}, "training": {"mine": recipe}}
    workflow.write_study({**study, "classifiers": {"small": {"trained": "mine"}}})
    planned = workflow.call(*RUN, "--dry-run")
    assert planned.returncode == 0, planned.stdout
    because = planned.stdout.partition("Reasons:")[2].partition("missing provenance")[0]
    assert "predict" in because and "train" not in because


@contextlib.contextmanager
def begun(folder, python=sys.executable, variables=None):
    """A run in a process group of its own, which is gone in the end; what it says goes to the file `said`."""
    with open(folder / "said", "w") as said:
        process = subprocess.Popen(
            [python, *RUN],
            cwd=folder,
            env=variables or environment(),
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.wait(120)


def said(folder):
    return (folder / "said").read_text(encoding="utf-8")


def wait_for(happened, process, seconds=300):
    deadline = time.monotonic() + seconds
    while not happened():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def stage_process(ancestor):
    """The process of the stage that a run is at."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    for process in parents:
        lineage = [process]
        while lineage[-1] in parents:
            lineage.append(parents[lineage[-1]])
        words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0") if ancestor in lineage[1:] else []
        if words[1:3] == [b"-m", b"pipeline"]:
            return process
    raise AssertionError("no stage is running")
