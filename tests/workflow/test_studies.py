"""Whole studies, from a YAML file to the report."""

import hashlib
import re
import runpy
from html import unescape
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from skimage import data as photographs

from pipeline.classifiers.entry import Network
from pipeline.classifiers.load import save_classifier
from pipeline.datasets import open_dataset
from pipeline.datasets.source import in_order
from pipeline.errors import UserError
from pipeline.images import to_tensor
from pipeline.stages.sample import sample
from pipeline.study import Study, load_study
from pipeline.tables import SCHEMAS
from pipeline.workflow.plan import Plan
from pipeline.worlds import load_world

ROOT = Path(__file__).resolve().parents[2]

COLOURED = ("astronaut", "chelsea", "coffee", "rocket")
GREY = ("brick", "camera", "coins", "moon")
COLOUR_RULE = '''
"""Tells coloured photographs from grey ones, by how far apart the channels of a pixel are."""

import torch

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def load():
    def logits(normalised):
        images = normalised * STD + MEAN
        colour = (images.amax(1) - images.amin(1)).mean((1, 2))
        return torch.stack([0.05 - colour, colour - 0.05], 1) * 40

    return logits
'''


def says(page: str, sentence: str) -> bool:
    """Whether the text of a page, without its markup, has a sentence."""
    return sentence in " ".join(unescape(re.sub(r"<[^>]*>", "", page)).split())


def softmax(logits: list[float]) -> np.ndarray:
    powers = np.exp(np.array(logits, np.float64))
    return powers / powers.sum()


# Own images


@pytest.fixture(scope="module")
def own_images(new_workflow):
    """A study of photographs made from the template, after its run."""
    workflow = new_workflow("own-images")
    save_photographs(workflow.folder / "photographs")
    (workflow.folder / "colour_rule.py").write_text(COLOUR_RULE, encoding="utf-8")
    values = workflow.read_study("own-images")
    values["dataset"] |= {"folder": "photographs", "size": 64, "rows": len(COLOURED) + len(GREY)}
    values["seed"] = seed_that_meets_first("colour--torn.png", workflow.folder / "photographs")
    values["classifiers"]["my-classifier"] |= {
        "entry_point": "colour_rule.py:load",
        "classes": ["grey", "colour"],
        "size": 48,
    }
    workflow.write_study(values)
    process = workflow.run("own-images")
    assert process.returncode == 0, process.stderr
    return workflow


def save_photographs(folder: Path) -> None:
    """Real photographs of several sizes and formats in a folder per class, and one file that is torn in half."""
    for name in ("colour", "grey"):
        (folder / name).mkdir(parents=True)
    for name, ending in zip(COLOURED, ("png", "jpg", "webp", "bmp"), strict=True):
        Image.fromarray(getattr(photographs, name)()).save(folder / "colour" / f"{name}.{ending}")
    for name in GREY:
        Image.fromarray(getattr(photographs, name)()).save(folder / "grey" / f"{name}.png")
    whole = (folder / "colour" / "astronaut.png").read_bytes()
    (folder / "colour" / "torn.png").write_bytes(whole[: len(whole) // 2])


def seed_that_meets_first(image_id: str, folder: Path) -> int:
    """A seed by whose order an image comes first: later, there might be rows enough before it is met."""
    ids = ["--".join(path.relative_to(folder).parts) for path in folder.rglob("*.*")]
    return next(seed for seed in count() if in_order(ids, seed)[0] == image_id)


def test_own_photographs_are_judged_as_by_calling_the_function_itself(own_images):
    rule = runpy.run_path(str(own_images.folder / "colour_rule.py"))
    images = {row["image_id"]: row for row in own_images.rows("own-images", "images") if row["status"] == "ok"}
    predictions = own_images.rows("own-images", "predictions")
    assert sorted(row["image_id"] for row in predictions) == sorted(images)
    for row in predictions:
        image = to_tensor([images[row["image_id"]]["image"]])
        assert image.shape == (1, 3, 64, 64)
        small = torch.nn.functional.interpolate(image, (48, 48), mode="bilinear", antialias=True, align_corners=False)
        logits = rule["load"]()((small - rule["MEAN"]) / rule["STD"])[0]
        assert row["logits"] == pytest.approx(logits.tolist(), abs=0.02)
        # Folders are sorted (colour, grey), the classifier has (grey, colour): names decide, not places.
        is_colour = row["image_id"].startswith("colour--")
        assert (row["predicted"], row["label"]) == (is_colour, is_colour)


def test_a_broken_photograph_stays_as_a_failed_row_with_its_reason(own_images):
    failed = [row for row in own_images.rows("own-images", "images") if row["status"] != "ok"]
    assert [row["image_id"] for row in failed] == ["colour--torn.png"]
    assert "photographs/colour/torn.png: the pixels cannot be decoded" in failed[0]["reason"]
    assert failed[0]["image"] is None
    assert all("torn" not in row["row_id"] for row in own_images.rows("own-images", "predictions"))
    assert says(own_images.page("own-images"), failed[0]["reason"])


def test_the_report_on_photographs_says_that_there_are_no_interventions(own_images):
    assert says(own_images.page("own-images"), "there are no interventions")
    assert not list(own_images.results("own-images").glob("tables/interventions"))
    (accuracy,) = own_images.rows("own-images", "metrics")
    assert (accuracy["metric"], accuracy["value"], accuracy["n"]) == ("accuracy", 1.0, 8)


def test_the_template_as_it_stands_asks_for_the_missing_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    options = Plan(load_study("own-images")).options("sample")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"the folder my-images does not exist; set dataset\.folder to the path"
    ) as error:
        sample(options, "code", [tmp_path / "images.parquet"])
    assert "\n" not in str(error.value)


def test_every_alternative_that_the_template_offers_is_valid():
    text = (ROOT / "studies" / "own-images.yaml").read_text(encoding="utf-8")
    offered = "\n".join(re.findall(r"^  # (  .*)$", text.split("# Instead of an entry point")[1], re.MULTILINE))
    networks = yaml.safe_load(offered)
    sources = {"timm", "torch_export", "torchscript", "onnx", "entry_point"}
    assert {key for network in networks.values() for key in network} >= sources | {"output", "checkpoint"}
    for network in networks.values():
        Network.model_validate(network)
    values = yaml.safe_load(text)
    for line in re.findall(r"^  #   (\w+: .*)$", text.split("shard_rows:")[0], re.MULTILINE):
        Study.model_validate({**values, "dataset": {**values["dataset"], **yaml.safe_load(line)}})


# Digits


@pytest.fixture(scope="module")
def digits(new_workflow):
    """The study of digits with networks that hardly learn, after its run."""
    workflow = new_workflow("digits")
    values = workflow.read_study("digits")
    values["dataset"]["rows"] = 10
    for name in ("digits-cnn", "digits-other"):
        values["training"][name] |= {"rows": 72, "steps": 4, "batch_size": 16, "tested": 40}
        values["training"][name]["options"] |= {"channels": [8, 8, 8, 8]}
    values["training"]["digits-adm"] |= {"rows": 72, "steps": 2, "batch_size": 8, "schedule": {"steps": 25}}
    values["training"]["digits-adm"]["unet"] |= {"multipliers": [1, 1], "attention": []}
    for name in ("fido-ssr", "fido-sdr"):
        values["saliency"][name] |= {"masks": 2, "steps": 3}
    values["saliency"]["integrated-gradients"] |= {"steps": 3}
    values["saliency"]["lime"] |= {"samples": 60}
    values["counterfactuals"]["dvce"] |= {"steps": 3, "skip": 1}
    values["counterfactuals"]["maskdime"] |= {"steps": 3, "start": 2}
    workflow.write_study(values)
    process = workflow.run("digits")
    assert process.returncode == 0, process.stderr
    assert workflow.rules(process).count("train") == 2
    return workflow


def test_digits_are_learned_and_judged_from_one_command(digits):
    images = digits.rows("digits", "images")
    assert {len(images), *(row["height"] for row in images)} == {10, 16}
    predictions = [row for row in digits.rows("digits", "predictions") if row["source"] == "images"]
    predictions = [row for row in predictions if row["classifier"] == "digits-cnn"]
    assert [row["label"] for row in predictions] == [dict(row["attributes"])["digit"] for row in images]
    assert all(len(row["logits"]) == 10 for row in predictions)
    assert says(digits.page("digits"), "digits-cnn")


def test_digits_are_turned_into_others_by_a_generator_of_the_study(digits):
    rows, predictions = digits.rows("digits", "counterfactuals"), digits.rows("digits", "predictions")
    seen = {row["image_id"]: row["predicted"] for row in predictions if row["source"] == "images"}
    assert {row["method"] for row in rows} == {"dvce", "maskdime"}
    assert all(row["status"] == "ok" and row["target"] != seen[row["image_id"]] for row in rows)
    assert "digits-other" in {row["classifier"] for row in predictions if row["source"] == "counterfactuals"}


def test_a_trained_network_has_a_card_that_says_what_it_saw(digits):
    weights = digits.folder / "resources" / "classifiers" / "digits-cnn.safetensors"
    card = weights.with_suffix(".md").read_text(encoding="utf-8")
    assert "split train, 72 images" in card and "Quality on 40 images of the split test" in card
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in card


def test_a_finished_study_of_digits_has_nothing_left_to_do(digits):
    again = digits.run("digits")
    assert again.returncode == 0, again.stderr
    assert digits.rules(again) == [] and "Nothing to be done" in again.stderr


# Portraits

PORTRAITS = {
    "study": "tiny",
    "dataset": {"world": "portraits", "size": 32, "rows": 6, "split": "test"},
    "shard_rows": 3,
    "classifiers": {"undecided": {"file": "undecided.safetensors"}},
    "networks": {"reader": {"file": "reader.safetensors"}},
    "readers": ["reader"],
    "statistics": {"bootstrap": 200},
}


def save_undecided(path: Path, heads: dict[str, tuple[str, ...]], images: torch.Tensor) -> None:
    """A network with random weights whose outputs have the median 0 over some images, so that small changes flip it."""
    from pipeline.classifiers.file import build_network

    torch.manual_seed(0)
    options = {"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}
    network = build_network("resnet18", options, heads).eval()
    with torch.no_grad():
        network.fc.bias -= network(images).median(dim=0).values
    save_classifier(network, path, architecture="resnet18", options=options, heads=heads, size=32, mean=0.0, std=1.0)


@pytest.fixture(scope="module")
def portraits(new_workflow):
    """A study of six portraits with a classifier and a reader, after its run."""
    workflow = new_workflow("portraits")
    source = open_dataset({"world": "portraits", "size": 32}, "test", 2026)
    images = to_tensor([source.read(image_id).image for image_id, _ in zip(source.ids, range(6), strict=False)])
    concepts = load_world("portraits").tasks
    save_undecided(workflow.folder / "undecided.safetensors", {"smile": concepts["smile"]}, images)
    heads = {task: concepts[task] for task in ("hair", "glasses")}
    save_undecided(workflow.folder / "reader.safetensors", heads, images)
    workflow.write_study(PORTRAITS)
    process = workflow.run("tiny")
    assert process.returncode == 0, process.stderr
    return workflow


@pytest.fixture(scope="module")
def judged(portraits):
    """The predictions of the classifier by the row that was judged."""
    rows = portraits.rows("tiny", "predictions")
    return {row["source_row_id"]: row for row in rows if row["classifier"] == "undecided"}


@pytest.fixture(scope="module")
def changes(portraits):
    """The rows of the interventions by image and concept."""
    found: dict[tuple[str, str], list[dict]] = {}
    for row in portraits.rows("tiny", "interventions"):
        found.setdefault((row["image_id"], row["concept"]), []).append(row)
    return found


def test_every_other_value_of_every_concept_is_an_intervention(portraits, changes):
    images = {row["image_id"]: dict(row["concepts"]) for row in portraits.rows("tiny", "images")}
    concepts = load_world("portraits").concepts
    assert len(images) == 6 and set(changes) == {(image, each.name) for image in images for each in concepts}
    assert sum(map(len, changes.values())) == 6 * (4 * 1 + 3 * 3)
    for (image_id, concept), rows in changes.items():
        values = [row["value"] for row in rows]
        assert sorted([*values, images[image_id][concept]]) == list(range(len(values) + 1))


def test_all_networks_judge_all_images_and_interventions(portraits, judged):
    seen = [row["row_id"] for name in ("images", "interventions") for row in portraits.rows("tiny", name)]
    assert sorted(judged) == sorted(seen)
    readings = [row for row in portraits.rows("tiny", "predictions") if row["classifier"] == "reader"]
    assert len(readings) == 2 * len(seen)
    assert {row["task"]: len(row["logits"]) for row in readings} == {"hair": 4, "glasses": 2}


def test_tables_come_in_parts_of_the_size_that_the_study_says(portraits):
    folder = portraits.results("tiny") / "tables"
    parts = [str(path.relative_to(folder)) for path in folder.rglob("*.parquet")]
    stages = {"images": "sample", "interventions": "intervene", "predictions": "predict"}
    assert sorted(parts) == [
        f"{table}/{stage}/part-{part:03d}.parquet" for table, stage in stages.items() for part in (0, 1)
    ]
    for name in (*stages, "scores", "metrics"):
        assert portraits.table("tiny", name).schema.names == SCHEMAS[name].names


def test_a_flip_is_a_decision_that_some_value_of_the_concept_changes(portraits, judged, changes):
    flips = {
        (row["image_id"], row["concept"]): row["value"]
        for row in portraits.rows("tiny", "scores")
        if row["metric"] == "flips"
    }
    assert set(flips) == set(changes)
    assert set(flips.values()) == {0.0, 1.0}
    for (image_id, concept), value in flips.items():
        decisions = {judged[row["row_id"]]["predicted"] for row in changes[image_id, concept]}
        assert value == (decisions != {judged[image_id]["predicted"]})


def test_metrics_are_the_means_of_what_predictions_say(portraits, judged, changes):
    metrics = {
        (row["metric"], row["classifier"], row["concept"], row["target_class"]): row
        for row in portraits.rows("tiny", "metrics")
    }
    images = [row for row in judged.values() if row["source"] == "images"]
    accuracy = metrics["accuracy", "undecided", None, None]
    assert accuracy["value"] == pytest.approx(np.mean([row["predicted"] == row["label"] for row in images]))
    assert accuracy["n"] == 6 and 0 <= accuracy["ci_low"] <= accuracy["value"] <= accuracy["ci_high"] <= 1
    assert {key[2] for key in metrics if key[1] == "reader"} == {"hair", "glasses"}

    flipped, gained = [], []
    for image in images:
        (change,) = changes[image["image_id"], "glasses"]
        before, after = (softmax(row["logits"])[1] for row in (image, judged[change["row_id"]]))
        flipped.append(image["predicted"] != judged[change["row_id"]]["predicted"])
        gained.append((after - before) * (1 if change["value"] == 1 else -1))
    assert metrics["intervention_flip_rate", "undecided", "glasses", None]["value"] == pytest.approx(np.mean(flipped))
    assert metrics["average_causal_effect", "undecided", "glasses", "present"]["value"] == pytest.approx(
        np.mean(gained)
    )
    effect = metrics["intervention_effect", "undecided", "glasses", None]
    assert effect["value"] == pytest.approx(np.mean(np.abs(gained))) and effect["n"] == 6


def test_the_report_shows_what_the_classifier_depends_on(portraits):
    page = portraits.page("tiny")
    assert says(page, "undecided") and not says(page, "there are no interventions")
    assert (portraits.results("tiny") / "report" / "figures" / "flips-undecided.svg").exists()


def test_a_finished_study_of_portraits_has_nothing_left_to_do(portraits):
    again = portraits.run("tiny")
    assert again.returncode == 0, again.stderr
    assert portraits.rules(again) == [] and "Nothing to be done" in again.stderr
