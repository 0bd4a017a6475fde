"""Counts by hand: what a study takes, before anything runs."""

import yaml

from pipeline.study import Study
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from pipeline.workflow.score_saliency import CURVE_IMAGES

STUDY = """
study: mine
dataset: {world: portraits, size: 64, rows: 10}
shard_rows: 4
explained_rows: 6
classifiers: {first: {onnx: first.onnx, classes: [no smile, smile], task: smile}}
networks: {reader: {onnx: reader.onnx, classes: {smile: [absent, present], hair: [black, red, blond, white]}}}
readers: [reader]
saliency:
  lime: {method: lime, samples: 20}
  fido: {method: fido, grid: 8, masks: 3, steps: 5}
evaluation: {infills: [blur, mean]}
"""


def works(changes=""):
    """The jobs of the study by stage, with some sections replaced."""
    plan = Plan(Study.model_validate({**yaml.safe_load(STUDY), **(yaml.safe_load(changes) or {})}))
    jobs = {stage: list(plan.jobs(stage)) for stage in stages()}
    return {stage: of_stage for stage, of_stage in jobs.items() if of_stage}


def rows(jobs):
    return sum(job.takes.rows for job in jobs)


def evaluations(jobs):
    return sum(job.takes.evaluations for job in jobs)


def stored(jobs):
    return sum(job.store_bytes for job in jobs)


def test_jobs_are_shards_or_classifiers_or_one():
    jobs = {stage: len(of_stage) for stage, of_stage in works().items()}
    assert jobs == {
        "identify": 1, "sample": 1, "intervene": 3, "predict": 3, "saliency": 2, "score": 1, "score_saliency": 1,
        "accuse": 1, "score_accusations": 1, "metrics": 1, "report": 1,
    }  # fmt: skip


def test_every_image_has_an_intervention_for_each_other_value_of_each_concept():
    others = 4 * 1 + 3 * 3  # smile, glasses, hat and beard have two values; hair, skin and background have four
    assert rows(works()["intervene"]) == 10 * others
    assert evaluations(works()["predict"]) == 2 * 10 * (1 + others)
    assert rows(works()["predict"]) == (1 + 2) * 10 * (1 + others)  # the reader answers two tasks at once


def test_maps_take_the_passes_of_their_options_for_the_explained_images_alone():
    lime, fido = zip(*(job.takes.passes for job in works()["saliency"]), strict=True)  # of each job
    assert [each.rows for each in lime] == [each.rows for each in fido] == [4, 2]
    assert [each.evaluations for each in lime] == [4 * 20, 2 * 20] and not any(each.with_backward for each in lime)
    assert [each.evaluations for each in fido] == [each.with_backward for each in fido] == [4 * 3 * 5, 2 * 3 * 5]
    assert rows(works("explained_rows: 100")["saliency"]) == 2 * 10


def test_scoring_a_map_takes_the_passes_of_the_curves_and_one_crop():
    # Two in-fillers' curves and a crop for each of two methods and two control maps; once the truth filled in, and the
    # image beside it.
    assert evaluations(works()["score_saliency"]) == 6 * (4 * (2 * CURVE_IMAGES + 1) + 2)


def test_a_row_scores_each_label_and_what_each_concept_does_to_each_class():
    # Two networks know the smile and one the hair; all seven concepts flip or not and have an effect, and the four
    # that are there or not have one on each of two classes.
    assert rows(works()["score"]) == 10 * (3 + 7 * 2 + 4 * 2)


def test_without_a_world_nothing_is_changed_and_without_methods_nothing_explained():
    stages = works("dataset: {digits: scikit-learn, rows: 10}\nsaliency: {}")
    assert not {"intervene", "saliency", "score_saliency"} & stages.keys()
    assert evaluations(stages["predict"]) == 2 * 10


def test_networks_that_must_be_right_look_at_the_images_when_they_are_taken():
    changed = works("dataset: {world: portraits, rows: 10, correct: [first]}")
    assert evaluations(changed["sample"]) == 10 and evaluations(works()["sample"]) == 0


def test_training_takes_a_pass_for_each_image_of_each_step_and_of_an_attack_on_it():
    recipe = "{dataset: {world: portraits}, tasks: [look], architecture: resnet18, steps: 5, batch_size: 8"
    changes = "classifiers: {first: {trained: recipe}}\ntraining: {recipe: %s%s}}"
    assert evaluations(works(changes % (recipe, ""))["train"]) == 5 * 8
    robust = works(changes % (recipe, ", epsilon: 1, attack_steps: 3"))
    assert evaluations(robust["train"]) == 5 * 8 * 4


def test_generators_are_trained_that_the_study_names():
    shared, network = (
        "dataset: {world: portraits}, rows: 40, steps: 5, batch_size: 8",
        "{channels: 32, multipliers: [1]}",
    )
    training = (
        f"training: {{makes: {{{shared}, unet: {network}}},"
        f" guides: {{{shared}, noisy_classifier: {network}, task: look}},"
        f" restores: {{{shared}, autoencoder: {{channels: 32, multipliers: [1], encoder_multipliers: [1]}}}}}}"
    )
    named = ", ".join(f"{name}: {{trained: {name}}}" for name in ("makes", "guides", "restores"))
    planned = works(f"generators: {{{named}}}\n{training}")
    assert evaluations(planned["train_generator"]) == evaluations(planned["train_guide"]) == 5 * 8
    assert evaluations(planned["train_autoencoder"]) == 5 * 8 + 128 * (50 + 50)  # and what its gate restores
    assert not {"train_generator", "train_guide", "train_autoencoder", "gate"} & works(training).keys()


def test_larger_images_and_finer_maps_take_more_bytes():
    small, large = works(), works("dataset: {world: portraits, size: 128, rows: 10}")
    assert 3 < large["intervene"][0].table_bytes / small["intervene"][0].table_bytes < 4.2
    assert stored(works("saliency: {fido: {method: fido, grid: 64}}")["saliency"]) > 4 * 64 * 64 * 6
