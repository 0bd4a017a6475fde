"""Counts, rates and times by hand: what a study takes, what earlier runs tell, what a card would take."""

import json

import pytest
import yaml

from pipeline.classifiers.description import FIELDS
from pipeline.costs import Stopwatch
from pipeline.errors import UserError
from pipeline.fingerprint import canonical_json
from pipeline.metrics.flipping import SHARES
from pipeline.study import Study
from pipeline.study.estimate import CURVE_IMAGES, Estimate, Passes, Work, filled_up
from pipeline.study.gpus import GPUS, LAUNCH_SECONDS, ROWS_AT_ONCE, UTILISATION, find_gpu, seconds_on
from pipeline.study.measured import BACKWARD, Measured, png_bytes_per_pixel
from pipeline.study.plan import Plan
from pipeline.study.timing import JOB_SECONDS, ROW_SECONDS, Speed, Timing
from pipeline.tables import write_table

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
NETWORK = {"onnx": "sha256:1"}
SIDE = 32
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8ffff3f0005fe02fea735810000000049454e44ae426082"
)


def works(changes=""):
    """The work of the study by stage, with some sections replaced."""
    values = {**yaml.safe_load(STUDY), **(yaml.safe_load(changes) or {})}
    return {work.stage: work for work in Estimate(Plan(Study.model_validate(values))).work()}


def test_jobs_are_shards_or_classifiers_or_one():
    jobs = {stage: work.jobs for stage, work in works().items()}
    assert jobs == {
        "identify": 1, "sample": 1, "intervene": 3, "predict": 3, "saliency": 2, "score": 1, "score_saliency": 1,
        "metrics": 1, "report": 1,
    }  # fmt: skip


def test_every_image_has_an_intervention_for_each_other_value_of_each_concept():
    others = 4 * 1 + 3 * 3  # smile, glasses, hat and beard have two values; hair, skin and background have four
    assert works()["intervene"].rows == 10 * others
    assert works()["predict"].network_evaluations == 2 * 10 * (1 + others)
    assert works()["predict"].rows == (1 + 2) * 10 * (1 + others)  # the reader answers two tasks at once


def test_maps_take_the_passes_of_their_options_for_the_explained_images_alone():
    lime, fido = works()["saliency"].passes
    assert (lime.rows, lime.forward, lime.with_backward) == (6, 6 * 20, 0)
    assert (fido.rows, fido.forward, fido.with_backward) == (6, 0, 6 * 3 * 5)
    assert works("explained_rows: 100")["saliency"].rows == 2 * 10


def test_short_batches_are_padded_and_take_the_time_of_full_ones():
    assert filled_up([24], 4) == 1  # 24 images with four masks each fill a batch
    assert filled_up([6], 4) == 4 and filled_up([1], 1) == 96
    assert filled_up([96, 4], 24) == 1  # each job by itself
    assert filled_up([100], 1) == (96 + 96) / 100
    lime, fido = works()["saliency"].passes  # a shard of four images and one of two
    assert lime.filled == (96 + 96) / (6 * 20) and fido.filled == (96 + 96) / (6 * 3)


def test_scoring_a_map_takes_the_passes_of_the_curves_and_one_crop():
    assert 2 * len(SHARES) - 2 == CURVE_IMAGES
    # Two in-fillers' curves and a crop for each of two methods and two control maps; once the truth filled in, and the
    # image beside it.
    assert works()["score_saliency"].network_evaluations == 6 * (4 * (2 * CURVE_IMAGES + 1) + 2)


def test_a_row_scores_each_label_and_what_each_concept_does_to_each_class():
    # Two networks know the smile and one the hair; all seven concepts flip or not and have an effect, and the four
    # that are there or not have one on each of two classes.
    assert works()["score"].rows == 10 * (3 + 7 * 2 + 4 * 2)


def test_without_a_world_nothing_is_changed_and_without_methods_nothing_explained():
    stages = works("dataset: {digits: scikit-learn, rows: 10}\nsaliency: {}")
    assert not {"intervene", "saliency", "score_saliency"} & stages.keys()
    assert stages["predict"].network_evaluations == 2 * 10


def test_networks_that_must_be_right_look_at_the_images_when_they_are_taken():
    changed = works("dataset: {world: portraits, rows: 10, correct: [first]}")
    assert changed["sample"].network_evaluations == 10 and works()["sample"].network_evaluations == 0


def test_training_is_planned_while_the_weights_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = "{dataset: {world: portraits}, tasks: [look], architecture: resnet18, steps: 5, batch_size: 8"
    changes = "classifiers: {first: {trained: recipe}}\ntraining: {recipe: %s%s}}"
    assert works(changes % (recipe, ""))["train"].network_evaluations == 5 * 8
    robust = works(changes % (recipe, ", epsilon: 1, attack_steps: 3"))
    assert robust["train"].network_evaluations == 5 * 8 * 4
    path = tmp_path / "resources/classifiers/recipe.safetensors"
    path.parent.mkdir(parents=True)
    told = {**dict.fromkeys(FIELDS), "heads": {"look": ["a", "b", "c"]}}
    description = {"__metadata__": {"classifier": json.dumps(told)}}
    text = json.dumps(description).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert "train" not in works(changes % (recipe, ""))


def test_training_of_generators_is_planned_while_their_weights_are_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shared, network = (
        "dataset: {world: portraits}, rows: 40, steps: 5, batch_size: 8",
        "{channels: 32, multipliers: [1]}",
    )
    changes = (
        "generators: {makes: {trained: makes}, guides: {trained: guides}}\n"
        f"training: {{makes: {{{shared}, unet: {network}}},"
        f" guides: {{{shared}, noisy_classifier: {network}, task: look}}}}"
    )
    planned = works(changes)
    assert planned["train_generator"].network_evaluations == planned["train_guide"].network_evaluations == 5 * 8
    (tmp_path / "resources/generators").mkdir(parents=True)
    (tmp_path / "resources/generators/makes.safetensors").touch()
    assert "train_generator" not in works(changes) and works(changes)["train_guide"].jobs == 1


def test_larger_images_and_finer_maps_take_more_bytes():
    small, large = works(), works("dataset: {world: portraits, size: 128, rows: 10}")
    assert 3 < large["intervene"].table_bytes / small["intervene"].table_bytes < 4.2
    finer = works("saliency: {fido: {method: fido, grid: 64}}")["saliency"].store_bytes
    assert finer > 4 * 64 * 64 * 6


def write_run(results, study, stage, *, compute, evaluations, methods=None):
    """An image, and the table and the costs of one job: a second of start and two of loading beside its work."""
    folder = results / "studies" / study
    image = {"row_id": "a", "image_id": "a", "status": "ok", "split": "test", "height": SIDE, "width": SIDE}
    image |= {"image": {"bytes": PNG, "path": "a.png"}, "content": "c"}
    dataset = {"dataset": {"world": "shapes"}}
    write_table(folder / "tables/images/sample/part-000.parquet", "images", [image], {"options": dataset})
    name, place = {"predict": ("predictions", "predict"), "saliency": ("saliency", "saliency/first")}[stage]
    told = {"weights": {"first": NETWORK}, "options": {"methods": methods or {}}}
    write_table(folder / f"tables/{name}/{place}/part-000.parquet", name, [], told)
    part = f"tables-{name}-{place.replace('/', '-')}-part-000"
    clock = Stopwatch()
    clock.count(evaluations)
    causes = {"imports": 1.5, "load": 0.5, "compute": compute, "tables": 0.0, "other": 0.0}
    row = clock.row(stage, study=study, part=part, rows=10, rows_computed=10)
    row |= {"seconds_by_cause": causes, "startup_seconds": 1.0, "device": "cpu, 9 threads"}
    write_table(folder / "costs" / f"{part}.parquet", "costs", [row], {"stage": stage})


def timing(results, speeds=None, side=SIDE):
    return Timing(Measured(results), speeds or {}, {"first": canonical_json(NETWORK)}, side)


def work(stage, forward, with_backward, jobs=1):
    passes = Passes("first", "method", 10, forward, with_backward)
    return Work(stage, [[f"file-{index}"] for index in range(jobs)], 10, [passes])


def test_the_rate_of_a_run_gives_the_time_of_other_numbers_of_evaluations(tmp_path):
    write_run(tmp_path, "earlier", "predict", compute=6.0, evaluations=100)
    rate = timing(tmp_path).here(work("predict", 250, 0, jobs=2))
    assert (rate.seconds, rate.measured) == (pytest.approx(2 * 3.0 + 250 * 0.06), True)
    assert timing(tmp_path).measured.devices == ["cpu, 9 threads"]


def test_a_backward_pass_counts_twice_its_forward_pass(tmp_path):
    methods = {"fido": {"method": "fido", "steps": 10, "masks": 3}, "lime": {"method": "lime", "samples": 60}}
    # Ten rows are five images. LIME: 300 rows in four batches of 96, so 384 forward passes. FIDO: ten steps with 15
    # rows in a batch of 96, so 960 forward passes with a backward, worth three each. 3264 forward passes in 32.64 s.
    write_run(tmp_path, "earlier", "saliency", compute=32.64, evaluations=5 * 90, methods=methods)
    assert BACKWARD == 2
    passes = timing(tmp_path).passes("saliency", Passes("first", "other", 1, 7, 100))
    assert (passes.seconds, passes.measured) == (pytest.approx(0.01 * (7 + 300)), True)


def test_another_size_or_another_network_was_not_measured(tmp_path):
    write_run(tmp_path, "earlier", "predict", compute=6.0, evaluations=100)
    assert timing(tmp_path, side=64).here(work("predict", 10, 0)) is None
    other = Timing(Measured(tmp_path), {}, {"first": canonical_json({"onnx": "sha256:2"})}, SIDE)
    assert other.here(work("predict", 10, 0)) is None


def test_maps_are_estimated_by_the_predictions_of_their_network_where_none_were_made(tmp_path):
    write_run(tmp_path, "earlier", "predict", compute=6.0, evaluations=100)
    rate = timing(tmp_path).here(work("saliency", 0, 10))
    assert rate.seconds == pytest.approx(JOB_SECONDS["saliency"] + 10 * 3 * 0.06) and not rate.measured


def test_a_network_that_was_timed_needs_no_earlier_run(tmp_path):
    speeds = {"first": Speed(operations=1e6, forward=0.01, with_backward=0.05, device="cpu")}
    rate = timing(tmp_path, speeds).here(work("saliency", 100, 10))
    assert rate.seconds == pytest.approx(JOB_SECONDS["saliency"] + 100 * 0.01 + 10 * 0.05) and not rate.measured


def test_scoring_takes_its_rows_and_the_passes_of_a_network_that_was_timed(tmp_path):
    speeds = {"first": Speed(operations=1e6, forward=0.01, with_backward=0.05, device="cpu")}
    rate = timing(tmp_path, speeds, side=64).here(work("score_saliency", 100, 0))
    expected = JOB_SECONDS["score_saliency"] + 10 * ROW_SECONDS["score_saliency"] + 100 * 0.01
    assert (rate.seconds, rate.measured) == (pytest.approx(expected), False)
    assert timing(tmp_path).here(work("score_saliency", 100, 0)) is None


def test_a_damaged_account_of_a_run_is_passed_over(tmp_path):
    write_run(tmp_path, "earlier", "predict", compute=6.0, evaluations=100)
    (tmp_path / "studies/earlier/costs/cut.parquet").write_bytes(b"PAR1")
    assert len(Measured(tmp_path).runs) == 1


@pytest.mark.parametrize("gone", [{"method": "gone"}, {"method": "lime", "gone": 3}])
def test_a_run_of_methods_and_options_that_are_no_longer_is_passed_over(gone, tmp_path):
    write_run(tmp_path, "earlier", "saliency", compute=6.0, evaluations=100, methods={"map": gone})
    assert Measured(tmp_path).runs == []


def test_the_bytes_of_images_are_those_of_earlier_ones_of_the_same_world(tmp_path):
    write_run(tmp_path, "earlier", "predict", compute=6.0, evaluations=100)
    assert len(PNG) / SIDE**2 < png_bytes_per_pixel(tmp_path, {"world": "shapes"}) < 4 * len(PNG) / SIDE**2
    assert png_bytes_per_pixel(tmp_path, {"world": "portraits"}) is None


def test_a_large_network_takes_its_operations_and_a_small_one_its_launches():
    card = GPUS["A100"]
    assert seconds_on(card, 19.5e12, 1) == pytest.approx(1 / UTILISATION)
    assert seconds_on(card, 1.0, 10 * ROWS_AT_ONCE) == pytest.approx(10 * LAUNCH_SECONDS)


def test_the_time_on_a_card_is_the_passes_there_and_everything_else_as_here(tmp_path):
    speeds = {"first": Speed(operations=19.5e12 * UTILISATION, forward=9.0, with_backward=9.0, device="cpu")}
    there = timing(tmp_path, speeds)
    # A forward pass takes a second there, one with its backward three.
    assert there.on(GPUS["A100"], work("saliency", 2, 1)) == pytest.approx(5 + JOB_SECONDS["saliency"], abs=0.01)
    assert timing(tmp_path).on(GPUS["A100"], work("saliency", 2, 1)) is None


@pytest.mark.parametrize("name", ["RTX 4090", "rtx_4090", "RTX-4090", " rtx-4090 "])
def test_a_card_is_found_however_its_name_is_written(name):
    assert find_gpu(name).float32 == 82.6


def test_an_unknown_card_is_answered_with_the_nearest_one():
    with pytest.raises(UserError, match="there is no GPU 'A1000' in the list; use A100"):
        find_gpu("A1000")


def test_every_peak_has_a_source_and_tensor_cores_are_no_slower():
    assert all(gpu.source and gpu.float32 > 0 for gpu in GPUS.values())
    assert all(gpu.tensor_float32 is None or gpu.tensor_float32 >= gpu.float32 for gpu in GPUS.values())
