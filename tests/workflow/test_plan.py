"""What the workflow learns from a study before anything runs."""

import json
import os
from functools import partial
from pathlib import Path

import pytest
import yaml

from pipeline.errors import UserError
from pipeline.fingerprint import fingerprint
from pipeline.stages.common import read_options
from pipeline.study import Study
from pipeline.workflow import plan as planning
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from pipeline.workflow.trained import trained_file
from tests.copied import copy_package

STUDY = """
study: mine
seed: 5
dataset: {world: portraits, size: 64, rows: 10, prior: {marginals: {hat: {absent: 0.9, present: 0.1}}}}
shard_rows: 4
classifiers:
  first: {onnx: first.onnx, classes: [no smile, smile], mean: 0.5}
  second: {trained: recipe}
networks:
  judge: {file: judge.safetensors}
readers: [judge]
training:
  recipe: {dataset: {world: portraits}, rows: 100, tasks: [smile], architecture: resnet18, steps: 10, blur: 0}
statistics: {bootstrap: 200, confidence: 0.9}
report: {title: Mine, examples: 2}
"""
MADE = "counterfactuals: {dvce: {method: dvce, generator: makes}}"
RULES = [name for name, stage in stages().items() if not stage.trains]


def plan(changes="", study=STUDY):
    """The plan of a study with some sections replaced."""
    return Plan(Study.model_validate({**yaml.safe_load(study), **(yaml.safe_load(changes) or {})}))


def file_names(of):
    tables = [of.parts(table) for table in ("images", "predictions")]
    return [
        *tables,
        of.table("metrics"),
        of.page,
        of.store,
        of.log("sample"),
        of.identity("first"),
        of.weights("first"),
    ]


@pytest.mark.parametrize(("rows", "shard_rows", "shards"), [(1, 4, 1), (4, 4, 1), (5, 4, 2), (10, 4, 3), (3, 1, 3)])
def test_shards_hold_every_row_and_none_is_empty(rows, shard_rows, shards):
    numbers = plan(f"dataset: {{world: shapes, rows: {rows}}}\nshard_rows: {shard_rows}").shards
    assert numbers == [f"{index:03d}" for index in range(shards)]


def test_the_parts_of_a_table_are_numbered_files_in_the_folder_of_the_study():
    assert plan().parts("images", "sample")[2] == "results/studies/mine/tables/images/sample/part-002.parquet"
    assert plan().part("images", "sample").endswith("part-{shard}.parquet")


def test_file_names_are_the_same_wherever_and_on_whatever_the_study_runs(tmp_path, monkeypatch):
    here = file_names(plan())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    monkeypatch.setattr("os.cpu_count", lambda: 99)
    assert file_names(plan()) == here


@pytest.mark.parametrize(
    "changes",
    ["seed: 6", "report: {title: x}", "statistics: {}", "training: {}\nclassifiers: {first: {onnx: first.onnx}}"],
)
def test_file_names_follow_from_the_name_and_size_of_a_study_alone(changes):
    assert file_names(plan(changes)) == file_names(plan())


def backwards(value):
    """The same YAML with the keys of every section but those that name entries in the other order."""
    if not isinstance(value, dict):
        return value
    turned = {key: backwards(entry) for key, entry in reversed(value.items())}
    return dict(reversed(turned.items())) if "first" in value else turned


@pytest.mark.parametrize("stage", RULES)
def test_options_are_one_canonical_text_whatever_the_order_of_the_keys(stage):
    text = plan().options(stage)
    assert text == plan(study=yaml.safe_dump(backwards(yaml.safe_load(STUDY)), sort_keys=False)).options(stage)
    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("stage", RULES)
def test_a_stage_reads_the_options_that_its_rule_writes_with_their_types(stage):
    assert read_options(stage, plan().options(stage)) == plan().chosen(stage)


def test_a_default_that_is_spelled_out_changes_no_options():
    spelled = plan("dataset: {world: portraits, size: 64, rows: 24, split: test, correct: [], per_class: null}")
    assert spelled.options("sample") == plan("dataset: {world: portraits}").options("sample")


def test_training_follows_its_own_recipe_alone():
    other = "training:\n  other: {dataset: {world: shapes}, tasks: [a], architecture: b}\n  recipe: "
    changed = plan(other + str(yaml.safe_load(STUDY)["training"]["recipe"]))
    assert changed.options("train", "recipe") == plan().options("train", "recipe")
    assert json.loads(plan().options("train", "recipe"))["steps"] == 10


EXPLAINED, JUDGED = {"saliency", "counterfactuals"}, {"judge", "score_counterfactuals"}
ACCUSED = {"accuse", "score_accusations"}
DIRECTED = {"encode_search", "directions", "transfer", "attribute", "score_directions"}
AFFECTED = [
    ("report: {title: Another}", {"report"}),
    ("statistics: {confidence: 0.8}", {"score_counterfactuals", "score_directions", "score_accusations", "metrics"}),
    ("shard_rows: 2", {"sample"}),
    ("dataset: {world: portraits, size: 64, rows: 11}", {"sample", "encode_search"}),  # without the prior
    ("dataset: {world: portraits, size: 32, rows: 10}", {"sample", "intervene", "encode_search"}),
    ("dataset: {world: shapes, size: 64, rows: 10}", {"sample", "intervene", "predict", "encode_search"}),
    ("seed: 6", {"sample", "predict", *EXPLAINED, *JUDGED, *ACCUSED, *DIRECTED, "score_saliency", "metrics"}),
    ("readers: []\nnetworks: {}", {"identify", "predict", *JUDGED, "score_directions", "accuse", "report"}),
    ("training: {recipe: {dataset: {world: shapes}, tasks: [a], architecture: b}}", set()),
]


@pytest.mark.parametrize(("changes", "stages"), AFFECTED, ids=[changes for changes, _ in AFFECTED])
def test_a_section_changes_the_options_of_the_stages_that_read_it(changes, stages):
    before, after = plan(), plan(changes)
    assert {stage for stage in RULES if before.options(stage) != after.options(stage)} == stages


EDITED = [
    ("worlds/portraits.py", "", {"sample", "intervene", "predict", "encode_search"}),
    ("worlds/shapes.py", "", set()),
    ("datasets/folder.py", "", set()),
    ("datasets/folder.py", "dataset: {folder: photos}", {"sample", "encode_search"}),
    (
        "metrics/statistics.py",
        "",
        {"score_counterfactuals", "score_directions", "score_accusations", "metrics", "report"},
    ),
    ("report/charts.py", "", {"report"}),
    ("stages/intervene.py", "", {"intervene"}),
    ("progress.py", "", set()),
]


@pytest.mark.parametrize(("module", "changes", "stages"), EDITED, ids=[f"{case[0]} {case[1]}" for case in EDITED])
def test_a_module_changes_the_code_of_the_stages_that_run_it(module, changes, stages, tmp_path, monkeypatch):
    copy_package(tmp_path)
    with (tmp_path / "pipeline" / module).open("a") as source:
        source.write("\nEDITED = True\n")
    before = {stage: plan(changes).code(stage) for stage in RULES}
    monkeypatch.setattr(planning, "fingerprint", partial(fingerprint, root=tmp_path))
    assert {stage for stage in RULES if plan(changes).code(stage) != before[stage]} == stages


@pytest.mark.parametrize("stage", RULES)
def test_the_modules_of_a_stage_begin_with_its_own_and_decide_its_code(stage, monkeypatch):
    assert plan().modules(stage)[0] == f"pipeline.stages.{stage}"
    before = plan().code(stage)
    monkeypatch.setattr(Plan, "modules", lambda self, stage: [f"pipeline.stages.{stage}", "pipeline.datasets.digits"])
    assert plan().code(stage) != before


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("file: a.safetensors", ["a.safetensors"]),
        ("onnx: a.onnx", ["a.onnx"]),
        ("torchscript: a.pt, trusted: true", ["a.pt"]),
        ("torch_export: a.pt2, trusted: true", ["a.pt2"]),
        ("timm: resnet18", []),
        ("timm: resnet18, checkpoint: a.safetensors", ["a.safetensors"]),
        ("entry_point: 'mine.py:load'", ["mine.py"]),
        ("entry_point: 'package.module:load'", []),
        ("trained: recipe", ["resources/classifiers/recipe.safetensors"]),
    ],
)
def test_the_weights_of_a_network_are_the_files_it_is_read_from(entry, files):
    assert plan(f"classifiers: {{first: {{{entry}}}}}").weights("first") == files


@pytest.mark.parametrize(
    ("entry", "files"),
    [
        ("file: a.safetensors", ["a.safetensors"]),
        ("checkpoint: a.pt, preset: imagenet-256", ["a.pt"]),
        ("diffusers: a", ["a/diffusion_pytorch_model.safetensors", "a/config.json"]),
    ],
)
def test_the_weights_of_a_generator_are_the_files_it_is_read_from(entry, files):
    planned = plan(f"generators: {{makes: {{{entry}}}}}\n{MADE}")
    assert planned.weights("makes") == files
    assert json.loads(planned.options("identify"))["generators"]["makes"] == planned.entry("makes")


def test_a_file_that_two_networks_share_is_one_file():
    assert plan("classifiers: {a: {onnx: x.onnx}, b: {onnx: x.onnx, mean: 0.5}}").weights("a", "b") == ["x.onnx"]


def test_results_do_not_stand_for_a_network_whose_file_is_gone_unless_it_is_trained_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan().check_weights()  # nothing stands yet: Snakemake names what is missing
    for network in plan().networks:
        path = Path(plan().identity(network))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Path("first.onnx").touch()
    with pytest.raises(UserError, match=r"^the network judge: judge\.safetensors does not exist; set its entry to"):
        plan().check_weights()
    Path("judge.safetensors").touch()
    plan().check_weights()
    makes = plan(f"generators: {{makes: {{file: makes.safetensors}}}}\n{MADE}")
    makes.check_weights()
    Path(makes.identity("makes")).touch()
    with pytest.raises(UserError, match=r"^the generator makes: makes\.safetensors does not exist; set its entry to"):
        makes.check_weights()


def test_a_trained_network_is_the_file_that_training_writes():
    entry = plan().entry("second")
    assert entry["file"] == trained_file("recipe") == "resources/classifiers/recipe.safetensors"
    assert "trained" not in entry


def test_only_networks_that_explain_or_judge_are_run():
    assert list(plan().networks) == ["first", "second", "judge"]
    assert plan().roles() == {"classifiers": ["first", "second"], "oracles": [], "readers": ["judge"]}


def test_the_files_of_a_folder_are_its_images_labels_boxes_and_masks(tmp_path):
    names = ["photos/b.png", "photos/sub/a.png", "masks/b.png", "labels.csv", "boxes.csv", "unrelated.txt"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    options = {
        key: str(tmp_path / name) for key, name in [("folder", "photos"), ("masks", "masks"), ("boxes", "boxes.csv")]
    }
    dataset = yaml.safe_dump({"dataset": {**options, "labels": str(tmp_path / "labels.csv")}})
    found = [str(Path(file).relative_to(tmp_path)) for file in plan(dataset).dataset_files()]
    assert sorted(found) == sorted(names[:-1])
    assert plan(dataset).dataset_files() == plan(dataset).dataset_files()


def test_the_sizes_of_files_tell_of_another_size_and_not_of_another_time(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"12")
    files = [str(tmp_path / name) for name in ("a.png", "b.png")]
    before = plan().sizes(files)
    assert before.startswith("2 files, 4 bytes") and plan().sizes([]) == ""
    os.utime(files[0], (0, 0))
    assert plan().sizes(files) == before
    (tmp_path / "a.png").write_bytes(b"123")
    (tmp_path / "b.png").write_bytes(b"1")
    assert plan().sizes(files) != before


@pytest.mark.parametrize("dataset", ["{world: shapes}", "{digits: scikit-learn}", "{huggingface: owner/name}"])
def test_a_dataset_without_local_files_has_none(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plan(f"dataset: {dataset}").dataset_files() == []


def test_interventions_are_rendered_for_worlds_alone():
    assert plan().has_truth and not plan("dataset: {digits: scikit-learn}").has_truth
