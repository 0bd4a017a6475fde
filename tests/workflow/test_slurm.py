"""The workflow on a SLURM cluster: the tables of a local run, cards for jobs that run networks, a cancelled job."""

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet
import pytest
import yaml

from pipeline.commands.slurm import cancel_orphans
from pipeline.study import Study
from pipeline.tables import read_provenance, unpack
from pipeline.workflow.plan import Plan
from tests.alike import alike
from tests.workflow.conftest import PHOTOS, ROOT, Workflow, add_photos
from tests.workflow.slurm import Cluster, Job, Unavailable, cluster, is_running, wait_until

pytestmark = pytest.mark.slurm

NETWORK_RULES = {"predict", "saliency", "score_saliency"}
CANCELLED, LOG = "score_saliency_wildcards_small", "logs/score_saliency/small.log"
SECONDS = 600
WAITING = """
import time
from tests.workflow.slurm import cluster

with cluster() as started:
    print(started.folder, flush=True)
    time.sleep(100)
"""
# What a site adds to envs/slurm: a partition for each kind of job, and cards asked for as GRES in one rule.
SITE = {
    "slurm-init-seconds-before-status-checks": 8,  # longer than a job: an early look costs ten seconds more
    "retries": 0,
    "max-threads": 1,
    "default-resources": {"slurm_partition": "main", "mem_mb": 1000, "runtime": 10, "gpu": 0},
    "set-resources": {
        "predict": {"slurm_partition": "cards"},
        "saliency": {"slurm_partition": "cards", "gpu": 0, "gres": "gpu:1"},
    },
}


@dataclass(frozen=True)
class Ran:
    """The study `photos` after it ran here, and on a cluster; there it was then changed, cancelled and set back."""

    here: Workflow
    there: Workflow
    interrupted: str
    jobs: list[Job]
    jobs_of_changed: list[Job]
    jobs_after: list[Job]
    cards: dict[str, set[str]]


@pytest.fixture(scope="module")
def node() -> Iterator[Cluster]:
    """A cluster for all tests; where this machine cannot have one, they are skipped with the reason."""
    try:
        with cluster() as started:
            yield started
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def ran(node, new_workflow, new_finished) -> Ran:
    there = new_workflow("there")
    add_photos(there)
    run_to_the_end(there, node)
    jobs = node.jobs()
    there.write_study({**PHOTOS, "evaluation": {"infills": ["mean"]}})
    interrupted = run_until_cancelled(there, node)
    changed = node.jobs()[len(jobs) :]
    there.write_study(PHOTOS)
    run_to_the_end(there, node)
    after = node.jobs()[len(jobs) + len(changed) :]
    return Ran(new_finished("here", "photos"), there, interrupted, jobs, changed, after, node.cards())


def run_to_the_end(workflow: Workflow, node: Cluster) -> None:
    """Run the study."""
    with submitting(workflow, node) as (run, told):
        assert run.wait(SECONDS) == 0, told()


def run_until_cancelled(workflow: Workflow, node: Cluster) -> str:
    """Run the study, cancel the job that scores maps while it runs, and return what Snakemake said in the end."""
    with submitting(workflow, node) as (run, told):
        wait_until(lambda: running(node) or run.poll() is not None, SECONDS, told)
        node.tell("scancel", running(node)[0].number)
        assert run.wait(SECONDS) == 1, told()
        return told()


def running(node: Cluster) -> list[Job]:
    """The running job that is to be cancelled, if there is one."""
    return [job for job in node.jobs() if job.rule == CANCELLED and job.state == "RUNNING"]


@contextmanager
def submitting(workflow: Workflow, node: Cluster) -> Iterator[tuple[subprocess.Popen, Callable[[], str]]]:
    """Run the study `photos` on the cluster in the background; the function returns what Snakemake has said so far."""
    (workflow.folder / "site").mkdir(exist_ok=True)
    (workflow.folder / "site" / "profile.yaml").write_text(yaml.safe_dump(SITE))
    command = [workflow.preloaded.python, "-m", "snakemake", "--profile", "envs/slurm", "--profile", "site"]
    command += ["--config", "study=photos"]
    path = f"{workflow.preloaded.folder}{os.pathsep}{node.environment['PATH']}"
    said = workflow.folder / "said.txt"
    with said.open("w") as output:
        run = subprocess.Popen(
            command,
            cwd=workflow.folder,
            env={**workflow.preloaded.environment(), **node.environment, "PATH": path},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield run, said.read_text
        finally:
            run.kill()
            run.wait()


def rule(job: Job) -> str:
    return job.rule.partition("_wildcards_")[0]


def tables(workflow: Workflow) -> dict[str, Path]:
    """Every table of the study `photos` but the costs, by its path in the results."""
    results = workflow.results("photos")
    paths = {str(path.relative_to(results)): path for path in results.glob("**/*.parquet")}
    return {name: path for name, path in paths.items() if not name.startswith("costs/")}


def rows(path: Path) -> list[dict]:
    """The rows of a table, with maps as numbers."""
    found = pyarrow.parquet.read_table(path).to_pylist()
    for row in found:
        if "map" in row:
            row["map"] = unpack("saliency", "map", row["map"], row["shape"]).tolist()
    return found


def test_the_tables_of_a_cluster_are_those_of_this_machine(ran):
    here, there = tables(ran.here), tables(ran.there)
    assert {"metrics.parquet", "scores.parquet"} < set(here) and set(here) == set(there)
    for name, path in here.items():
        assert origin(path) == origin(there[name]), name
        assert alike(rows(path), rows(there[name])), name


def origin(path: Path) -> dict:
    """What a table follows from, without the digests of its inputs: they hang on the last bit of every row."""
    told = read_provenance(path)
    return {**told, "inputs": list(told["inputs"])}


def test_the_cancelled_job_alone_fails_the_run_which_names_its_log(ran):
    assert {job.state for job in ran.jobs} == {"COMPLETED"}
    assert {job.rule: job.state for job in ran.jobs_of_changed} == {CANCELLED: "CANCELLED"}
    assert "Error in rule score_saliency" in ran.interrupted
    assert f"Logfile results/studies/photos/{LOG}" in ran.interrupted


def test_a_changed_study_that_was_cancelled_is_not_taken_for_finished_when_it_is_set_back(ran):
    assert [rule(job) for job in ran.jobs_after] == ["score_saliency", "metrics", "report"]
    assert {job.state for job in ran.jobs_after} == {"COMPLETED"}


def test_every_job_runs_on_the_cluster_with_the_memory_and_time_that_the_study_estimates(ran):
    plan = Plan(Study.model_validate(PHOTOS))
    asked = {(rule(job), job.memory_mb, job.minutes) for job in ran.jobs}
    assert asked == {(job.stage.name, job.megabytes, job.minutes) for job in plan.all_jobs()}


def test_jobs_that_run_a_network_have_a_card_each_and_others_none(ran):
    for job in ran.jobs:
        assert job.cards == (1 if rule(job) in NETWORK_RULES else 0), job
        assert ran.cards[job.number] <= ({"0", "1"} if job.cards else {"none"}), job


def test_two_jobs_at_once_have_two_cards(ran):
    cards = [ran.cards[job.number] for job in ran.jobs if rule(job) == "predict"]
    assert sorted(cards, key=min) == [{"0"}, {"1"}]


def test_a_site_chooses_partitions_without_changing_a_rule(ran):
    partitions = {rule(job): job.partition for job in ran.jobs}
    assert {name for name, partition in partitions.items() if partition == "cards"} == {"predict", "saliency"}
    assert set(partitions.values()) == {"main", "cards"}


def test_jobs_that_a_killed_run_left_behind_are_found_by_their_folder_and_cancelled(node, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", node.environment["SLURM_CONF"])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    left, other = (submit_sleep(node, folder) for folder in (tmp_path, elsewhere))
    assert cancel_orphans(tmp_path) == [left]
    assert {job.number: job.state for job in node.jobs()}[left] == "CANCELLED"
    assert {job.number: job.state for job in node.jobs()}[other] in ("RUNNING", "PENDING")
    assert cancel_orphans(elsewhere) == [other]


def submit_sleep(node: Cluster, folder: Path) -> str:
    """Submit a job as Snakemake names those of a run, and return its number."""
    names = ["--job-name", str(uuid.uuid4()), "--comment", "rule_saliency", "--chdir", str(folder)]
    asked = ["--time", "5", "--mem", "100", "--output", str(folder / "job.log"), "--wrap", "sleep 100"]
    return node.tell("sbatch", "--parsable", *names, *asked).strip()


def test_a_machine_without_slurm_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="install the Debian packages slurmctld slurmd"), cluster():
        pass


def test_a_controller_that_answers_already_is_left_alone(node, monkeypatch):
    monkeypatch.setenv("SLURM_CONF", node.environment["SLURM_CONF"])
    with pytest.raises(Unavailable, match="left alone"), cluster():
        pass
    assert "idle" in node.tell("sinfo")


def test_a_cluster_leaves_nothing_behind_when_what_used_it_fails(node):
    with pytest.raises(RuntimeError, match="as planned"), cluster() as other:
        assert other.environment["SLURM_CONF"] != node.environment["SLURM_CONF"]
        processes = [int(path.read_text()) for path in other.folder.glob("*.pid")]
        assert len(processes) == 3 and all(map(is_running, processes))
        raise RuntimeError("as planned")
    assert not other.folder.exists() and not any(map(is_running, processes))
    assert "idle" in node.tell("sinfo")


def test_a_cluster_ends_with_a_test_process_that_is_killed(node):
    with subprocess.Popen([sys.executable, "-c", WAITING], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        folder = Path(process.stdout.readline().strip())
        processes = [int(path.read_text()) for path in folder.glob("*.pid")]
        assert len(processes) == 3 and all(map(is_running, processes))
        process.kill()
    wait_until(lambda: not folder.exists(), 30, str)
    assert not any(map(is_running, processes))
    assert "idle" in node.tell("sinfo")
