"""Memory and time of a job: never below what was measured, never less for more work, for every stage."""

from pathlib import Path

import pytest
import yaml

from pipeline.metrics.flipping import SHARES
from pipeline.study import Study, load_study
from pipeline.workflow import score_saliency, stages
from pipeline.workflow.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
study: mine
dataset: {world: portraits, size: 64, rows: 500}
shard_rows: 100
explained_rows: 50
classifiers: {first: {onnx: first.onnx, classes: [a, b], task: smile}}
networks: {reader: {onnx: reader.onnx, classes: {smile: [absent, present], hair: [black, red]}}}
readers: [reader]
saliency: {fido: {method: fido, steps: 10, masks: 2}, lime: {method: lime, samples: 100}}
counterfactuals: {svce: {method: svce}, pgd: {method: pgd}}
directions: {gcd: {method: gcd, autoencoder: portraits-dae}}
attributions: {bb-lig: {method: bb-lig, direction: gcd}}
training:
  small: {dataset: {world: portraits}, rows: 100, tasks: [smile], architecture: resnet18, steps: 10}
"""
SHAPES = """
dataset: {world: shapes, size: 32, rows: 2000}
shard_rows: 1000
explained_rows: 100
networks: {}
readers: []
saliency: {fido: {method: fido, steps: 5, masks: 1}, gradient: {method: gradient}}
counterfactuals: {}
statistics: {bootstrap: 2000}
"""
PORTRAITS = """
dataset: {world: portraits, size: 128, rows: 300}
shard_rows: 150
explained_rows: 96
saliency: {fido: {method: fido, steps: 11, masks: 1}, gradient: {method: gradient}, grad-cam: {method: grad-cam}}
"""
# Peak memory of a job in megabytes and its time in seconds on two slow cores: rows of the table `costs`.
MEASURED = [
    ("sample", SHAPES, 200, 6),
    ("intervene", SHAPES, 159, 5),
    ("predict", SHAPES, 767, 5),
    ("saliency", SHAPES, 750, 2),
    ("score", SHAPES, 206, 2),
    ("score_saliency", SHAPES, 841, 11),
    ("metrics", SHAPES, 274, 3),
    ("report", SHAPES, 273, 2),
    ("sample", PORTRAITS, 217, 23),
    ("intervene", PORTRAITS, 182, 28),
    ("predict", PORTRAITS, 1188, 116),
    ("saliency", PORTRAITS, 1225, 47),
    ("score", PORTRAITS, 188, 5),
    ("score_saliency", PORTRAITS, 1243, 182),
    ("metrics", PORTRAITS, 207, 3),
    ("report", PORTRAITS, 305, 4),
    ("identify", PORTRAITS, 33, 1),
]
SNAKEMAKES_MB = 2 * 170  # that run beside a stage on a node
ALWAYS = [name for name, stage in stages().items() if not stage.trains]
MORE = {
    "dataset: {world: portraits, size: 64, rows: 50000}\nshard_rows: 50000": {
        "sample",
        "intervene",
        "predict",
        "score",
    },
    "explained_rows: 500\nshard_rows: 500": {
        "saliency",
        "counterfactuals",
        "encode",
        "transfer",
        "attribute",
        "judge",
        "score_saliency",
        "metrics",
    },
    "dataset: {world: portraits, size: 256, rows: 500}": {"predict", "saliency", "counterfactuals", "score_saliency"},
    "saliency: {fido: {method: fido}, lime: {method: lime}, more: {method: fido, masks: 9}}": {"saliency"},
}


def plan(changes=""):
    return Plan(Study.model_validate({**yaml.safe_load(STUDY), **(yaml.safe_load(changes) or {})}))


def first(planned, stage):
    return next(planned.jobs(stage))


@pytest.mark.parametrize(("stage", "changes", "megabytes", "seconds"), MEASURED)
def test_no_job_that_was_measured_would_have_been_stopped(stage, changes, megabytes, seconds):
    job = first(plan(changes), stage)
    assert job.megabytes > 1.25 * (megabytes + SNAKEMAKES_MB)
    assert job.minutes * 60 > 4 * seconds


@pytest.mark.parametrize("changes", MORE)
def test_more_of_anything_never_takes_less_and_what_decides_takes_more_time(changes):
    small, large = plan(), plan(changes)
    for stage in ALWAYS:
        assert first(large, stage).megabytes >= first(small, stage).megabytes > 0, stage
        assert first(large, stage).minutes >= first(small, stage).minutes > 0, stage
        if stage in MORE[changes]:
            assert first(large, stage).takes.seconds > first(small, stage).takes.seconds, stage


def test_curves_are_as_long_as_is_assumed():
    assert 2 * len(SHARES) - 2 == score_saliency.CURVE_IMAGES


def test_jobs_of_the_default_study_fit_a_small_node_and_a_short_queue(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert all(job.megabytes <= 5000 and job.minutes <= 120 for job in Plan(load_study("default")).all_jobs())


def test_sampling_runs_only_the_networks_that_must_be_right():
    alone, with_network = plan(), plan("dataset: {world: portraits, rows: 500, correct: [first]}")
    assert not alone.job("sample").runs_networks and with_network.job("sample").runs_networks
    assert with_network.job("sample").megabytes >= alone.job("sample").megabytes + 2500


def test_training_is_estimated_by_its_own_recipe():
    recipe = yaml.safe_load(STUDY)["training"]["small"]
    larger, attacked = (
        plan(yaml.safe_dump({"training": {"small": {**recipe, **more, "steps": 50_000}}})).job("train", network="small")
        for more in ({"rows": 500_000}, {"epsilon": 0.5})
    )
    small = plan().job("train", network="small")
    assert larger.megabytes > small.megabytes and attacked.minutes > larger.minutes > small.minutes


def test_smaller_shards_make_smaller_jobs_of_everything_but_what_takes_all_images():
    large, small = (plan(f"dataset: {{world: shapes, rows: 4000}}\nshard_rows: {rows}") for rows in (4000, 100))
    assert first(large, "predict").megabytes > first(small, "predict").megabytes
    assert first(large, "sample").megabytes == first(small, "sample").megabytes


def test_every_attempt_asks_for_as_much_more():
    functions = (ROOT / "rules" / "common.smk").read_text()
    defined = {"plan": plan()}
    exec(functions[functions.index("def gpu") :], defined)
    for stage, levels in (("predict", {"shard": "004"}), ("train", {"network": "small"})):
        job = plan().job(stage, **levels)
        for attempt in (1, 2, 3):
            assert defined["memory"](stage)(levels, attempt) == attempt * job.megabytes
            assert defined["runtime"](stage)(levels, attempt) == attempt * job.minutes
        assert defined["gpu"](stage)(levels) == 1
