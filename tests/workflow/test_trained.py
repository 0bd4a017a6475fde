"""What the workflow learns of recipes before anything is trained."""

import json

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.study import Study, load_study
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from pipeline.workflow.trained import measuring, measuring_files, trained_files

STUDY = """
study: mine
dataset: {digits: scikit-learn, rows: 10}
classifiers: {reads: {trained: reads}}
training:
  reads: {dataset: {digits: scikit-learn}, tasks: [digit], architecture: resnet18}
  draws:
    dataset: {digits: scikit-learn, size: 16}
    unet: {channels: 32, multipliers: [1, 2]}
    gate: {readers: [concepts, reads], features: concepts-b}
  guides: {dataset: {digits: scikit-learn, size: 16}, noisy_classifier: {channels: 32, multipliers: [1]}, task: digit}
  restores:
    dataset: {digits: scikit-learn, size: 16}
    autoencoder: {channels: 32, multipliers: [1], encoder_multipliers: [1, 1]}
  fills: {dataset: {digits: scikit-learn, size: 16}, vae: {channels: 4}}
"""


@pytest.fixture
def plan():
    return Plan(Study.model_validate(yaml.safe_load(STUDY)))


def test_each_recipe_is_followed_by_the_stage_of_its_kind(plan):
    followed = {name: plan.recipes(name) for name, stage in stages().items() if stage.trains}
    assert followed == {
        "train": ["reads"],
        "train_generator": ["draws"],
        "gate": ["draws"],
        "train_guide": ["guides"],
        "train_autoencoder": ["restores"],
        "train_infill": ["fills"],
    }


def test_training_ends_with_what_is_measured_of_a_diffusion_model(plan):
    assert trained_files(plan.study) == [
        "resources/classifiers/reads.safetensors",
        "resources/generators/draws.md",
        "resources/generators/guides.safetensors",
        "resources/generators/restores.safetensors",
        "resources/infills/fills.safetensors",
    ]
    assert trained_files(plan.study, "draws") == ["resources/generators/draws.md"]
    with pytest.raises(
        UserError, match=r"study mine has no recipe 'drws' in its section training; did you mean 'draws'"
    ):
        trained_files(plan.study, "drws")


def test_a_trained_generator_is_the_file_that_training_writes(plan):
    values = {**yaml.safe_load(STUDY), "generators": {"makes": {"trained": "draws"}, "leads": {"trained": "guides"}}}
    planned = Plan(Study.model_validate(values))
    files = ["resources/generators/draws.safetensors", "resources/generators/guides.safetensors"]
    assert planned.weights("makes", "leads") == files


def test_a_trained_in_filler_is_read_by_the_jobs_that_fill_with_it():
    values = {**yaml.safe_load(STUDY), "infills": {"digits": {"trained": "fills"}}}
    methods = {"fido": {"method": "fido", "infill": "digits"}, "lime": {"method": "lime", "infill": "blur"}}
    planned = Plan(Study.model_validate({**values, "saliency": methods}))
    assert planned.weights("digits") == ["resources/infills/fills.safetensors"]
    assert planned.identity("digits") in planned.outputs()
    by_stage = {job.stage.name: job.networks for job in planned.all_jobs()}
    assert by_stage["saliency"] == ["reads", "digits"] and by_stage["score_saliency"] == ["reads"]
    assert planned.fillers_for("saliency", "reads") == [planned.identity("digits")]
    assert {"pipeline.infill.vae", "pipeline.infill.heuristics"} <= set(planned.modules("saliency"))


def test_a_network_that_ships_measures_before_one_that_is_trained(plan):
    assert measuring(plan.study, "draws")["concepts"] == {"file": "data/classifiers/concepts.safetensors"}
    assert measuring_files(plan.study, "draws") == [
        "data/classifiers/concepts.safetensors",
        "resources/classifiers/reads.safetensors",
        "data/classifiers/concepts-b.safetensors",
    ]


def test_how_a_model_is_measured_is_no_reason_to_train_it_again(plan):
    values = yaml.safe_load(STUDY)
    values["training"]["draws"]["gate"] = {"samples": 50}
    other = Plan(Study.model_validate(values))
    assert other.options("train_generator", "draws") == plan.options("train_generator", "draws")
    assert other.options("gate", "draws") != plan.options("gate", "draws")
    assert json.loads(plan.options("gate", "draws"))["recipe"] == json.loads(plan.options("train_generator", "draws"))


def test_the_shipped_faces_are_measured_by_two_readers():
    assert load_study("suite").training["portraits-adm"].gate.readers == ["concepts", "concepts-b"]
