"""Memory and time of a job: never below what was measured, never less for more work, for every stage."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.metrics.flipping import SHARES
from pipeline.stages import STAGES, counterfactuals, predict, saliency
from pipeline.study import Study, estimate, load_study, resources
from pipeline.study.plan import Plan
from pipeline.study.resources import MEMORY, RUNTIME, Handled, handled, memory_mb, runtime_minutes
from pipeline.study.trained import TRAINED_BY
from pipeline.worlds import WORLDS, load_world

ROOT = Path(__file__).resolve().parents[2]
SMALL = Handled(
    images=10,
    size=64,
    interventions=13,
    networks=2,
    heads=3,
    explained=5,
    methods=2,
    forward=50,
    with_backward=100,
    infills=1,
    samples=500,
    counterfactuals=3,
)
AMOUNTS = ("images", "size", "interventions", "networks", "heads", "explained", "methods", "forward")
AMOUNTS = (*AMOUNTS, "with_backward", "infills", "samples", "counterfactuals")
STUDY = """
study: mine
dataset: {world: portraits, size: 64, rows: 500}
shard_rows: 100
explained_rows: 50
classifiers: {first: {file: first.safetensors}}
readers: [concepts]
saliency: {fido: {method: fido, steps: 10, masks: 2}, lime: {method: lime, samples: 100}}
training:
  small: {dataset: {world: portraits}, rows: 100, tasks: [smile], architecture: resnet18, steps: 10}
"""
# Peak memory of a job in megabytes and its time in minutes, with what it handled: rows of the table `costs`.
SHAPES = Handled(2000, 32, 6, 1, 1, 100, 2, 0, 6, 1, 2000)
SHARD_OF_SHAPES = replace(SHAPES, images=1000)
PORTRAITS = Handled(300, 128, 13, 4, 10, 96, 3, 0, 13, 1, 2000)
SHARD_OF_PORTRAITS = replace(PORTRAITS, images=150)
MEASURED = [
    ("sample", SHAPES, 200, 6),
    ("intervene", SHARD_OF_SHAPES, 159, 5),
    ("predict", SHARD_OF_SHAPES, 767, 5),
    ("saliency", SHARD_OF_SHAPES, 750, 2),
    ("score", SHAPES, 206, 2),
    ("score_saliency", SHAPES, 841, 11),
    ("metrics", SHAPES, 274, 3),
    ("report", SHAPES, 273, 2),
    ("sample", PORTRAITS, 217, 23),
    ("intervene", SHARD_OF_PORTRAITS, 182, 28),
    ("predict", SHARD_OF_PORTRAITS, 1188, 116),
    ("saliency", SHARD_OF_PORTRAITS, 1225, 47),
    ("score", PORTRAITS, 188, 5),
    ("score_saliency", PORTRAITS, 1243, 182),
    ("metrics", PORTRAITS, 207, 3),
    ("report", PORTRAITS, 305, 4),
    ("counterfactuals", SMALL, 900, 5),
    ("train", Handled(1300, 64, with_backward=192), 1473, 253),
    ("identify", SMALL, 33, 1),
]
SNAKEMAKES_MB = 2 * 170  # that run beside a stage on a node
# What a stage must not ignore, by what decides its memory and its time.
GROWS_WITH = {
    "train": ({"images", "size"}, {"with_backward", "size"}),
    "train_generator": ({"images", "size"}, {"with_backward", "size"}),
    "train_guide": ({"images", "size"}, {"with_backward", "size"}),
    "train_infill": ({"images", "size"}, {"with_backward", "size"}),
    "gate": ({"images", "size"}, {"images", "forward", "size"}),
    "identify": (set(), set()),
    "sample": ({"images", "size"}, {"images", "size", "networks"}),
    "intervene": ({"images", "size", "interventions"}, {"images", "size", "interventions"}),
    "predict": ({"images", "size", "interventions", "heads"}, {"images", "size", "interventions", "networks"}),
    "saliency": ({"explained", "size"}, {"explained", "size", "forward", "with_backward"}),
    "counterfactuals": ({"explained", "size", "methods"}, {"explained", "size", "forward", "with_backward"}),
    "score": ({"images", "interventions", "heads"}, {"images", "interventions", "heads"}),
    "score_saliency": ({"explained", "size", "methods"}, {"explained", "size", "methods", "infills"}),
    "judge": ({"explained", "size", "counterfactuals"}, {"explained", "size", "networks", "counterfactuals"}),
    "score_counterfactuals": ({"explained", "size", "methods"}, {"explained", "size", "methods"}),
    "metrics": ({"images", "heads", "explained", "methods", "samples"}, {"images", "heads", "methods", "samples"}),
    "report": ({"images", "heads", "explained", "methods"}, {"images", "heads", "explained", "methods"}),
}


def plan(changes=""):
    return Plan(Study.model_validate({**yaml.safe_load(STUDY), **(yaml.safe_load(changes) or {})}))


def test_every_stage_has_an_estimate_and_nothing_else_has():
    assert set(MEMORY) == set(RUNTIME) == set(GROWS_WITH) == set(STAGES)


@pytest.mark.parametrize("estimate", [memory_mb, runtime_minutes])
def test_a_stage_without_an_estimate_is_an_error_that_says_where_to_add_it(estimate):
    with pytest.raises(ValueError, match=r"'dream'; add it to MEMORY and RUNTIME in pipeline\.study\.resources"):
        estimate("dream", SMALL)


@pytest.mark.parametrize(("stage", "job", "megabytes", "seconds"), MEASURED)
def test_no_job_that_was_measured_would_have_been_stopped(stage, job, megabytes, seconds):
    assert memory_mb(stage, job) > 1.25 * (megabytes + SNAKEMAKES_MB)
    assert runtime_minutes(stage, job) * 60 > 4 * seconds


def test_batches_are_as_large_as_the_stages_make_them():
    assert resources.FORWARD_BATCH == predict.BATCH and resources.DECODED_AT_ONCE == predict.STORED_AT_ONCE
    assert resources.BACKWARD_BATCH == saliency.BATCH
    assert resources.MADE_BATCH == estimate.MADE_AT_ONCE == counterfactuals.BATCH
    assert 2 * len(SHARES) - 2 == resources.PASSES_OF_CURVES


@pytest.mark.parametrize("amount", AMOUNTS)
@pytest.mark.parametrize("stage", STAGES)
def test_more_of_anything_never_takes_less_and_what_decides_takes_more(stage, amount):
    more = replace(SMALL, **{amount: getattr(SMALL, amount) * 1000})
    memory, time = (amount in decisive for decisive in GROWS_WITH[stage])
    assert memory_mb(stage, more) > memory_mb(stage, SMALL) or not memory
    assert memory_mb(stage, more) >= memory_mb(stage, SMALL) > 0
    assert runtime_minutes(stage, more) > runtime_minutes(stage, SMALL) or not time
    assert runtime_minutes(stage, more) >= runtime_minutes(stage, SMALL) > 0


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in TRAINED_BY])
def test_jobs_of_the_default_study_fit_a_small_node_and_a_short_queue(stage):
    default = Plan(load_study("default"))
    assert default.memory(stage) <= 5000 and default.runtime(stage) <= 120


def test_a_job_handles_a_shard_or_the_whole_study():
    assert {stage: handled(plan().study, stage).images for stage in ("sample", "intervene", "saliency", "score")} == {
        "sample": 500, "intervene": 100, "saliency": 100, "score": 500,
    }  # fmt: skip
    assert handled(plan().study, "saliency").explained == 50
    assert handled(plan("explained_rows: 400").study, "saliency").explained == 100
    assert handled(plan("explained_rows: 400").study, "score_saliency").explained == 400


def test_network_evaluations_of_all_methods_count():
    job = handled(plan().study, "saliency")
    assert (job.methods, job.forward, job.with_backward) == (2, 100, 20)


@pytest.mark.parametrize("name", WORLDS)
def test_interventions_are_all_other_values_of_all_concepts(name):
    job = handled(plan(f"dataset: {{world: {name}, rows: 5}}\nreaders: []").study, "intervene")
    assert job.interventions == sum(len(concept.values) - 1 for concept in load_world(name).concepts) > 0
    assert job.judged == 5 * (1 + job.interventions)


def test_images_of_a_folder_have_no_interventions_and_count_as_large_where_sizes_differ():
    job = handled(plan("dataset: {folder: photos, size: null}").study, "predict")
    assert (job.interventions, job.size) == (0, 2048)


def test_sampling_runs_only_the_networks_that_must_be_right():
    world = "dataset: {world: portraits, rows: 500"
    assert handled(plan().study, "sample").networks == 0
    correct = plan(f"{world}, correct: [first]}}")
    assert handled(correct.study, "sample").networks == 1
    assert correct.memory("sample") >= plan().memory("sample") + 2500


def test_training_is_estimated_by_its_own_recipe():
    recipe = yaml.safe_load(STUDY)["training"]["small"]
    larger = plan(yaml.safe_dump({"training": {"small": {**recipe, "rows": 500_000, "steps": 50_000}}}))
    attacked = plan(yaml.safe_dump({"training": {"small": {**recipe, "epsilon": 0.5, "steps": 50_000}}}))
    assert larger.memory("train", "small") > plan().memory("train", "small")
    assert attacked.runtime("train", "small") > larger.runtime("train", "small") > plan().runtime("train", "small")


def test_smaller_shards_make_smaller_jobs_of_everything_but_what_takes_all_images():
    large, small = (plan(f"dataset: {{world: shapes, rows: 4000}}\nshard_rows: {rows}") for rows in (4000, 100))
    assert large.memory("predict") > small.memory("predict") and large.runtime("predict") > small.runtime("predict")
    assert large.memory("sample") == small.memory("sample") and large.memory("score") == small.memory("score")


def test_every_attempt_asks_for_as_much_more():
    functions = (ROOT / "rules" / "common.smk").read_text()
    defined = {"plan": plan()}
    exec(functions[functions.index("def memory") :], defined)
    for name, estimated in (("memory", plan().memory), ("runtime", plan().runtime)):
        for attempt in (1, 2, 3):
            assert defined[name]("predict")({}, attempt) == attempt * estimated("predict")
            assert defined[name]("train")({"network": "small"}, attempt) == attempt * estimated("train", "small")
