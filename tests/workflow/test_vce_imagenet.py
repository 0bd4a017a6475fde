"""The published study on a tiny twin: its file but for widths, sizes and rows, on files in the official formats."""

from collections import Counter
from pathlib import Path
from typing import Any

import dill
import polars
import pytest
import timm
import torch
from safetensors.torch import save_file
from torchvision import models

from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.imagenet import class_names
from pipeline.unet_shape import Shape
from tests.datasets.small_imagenet import write_imagenet
from tests.test_weights import robustness

STUDY = "vce-imagenet"
SIZE = 16
SEEN = 32  # pixels, of the classifiers whose size can be chosen: they scale what they see
SOURCES = (293, 209, 935, 973, 970, 965)
NARROW = {"size": SIZE, "channels": 32, "multipliers": [1, 1], "blocks": 1, "attention": [8], "head_channels": 32}
CONVNEXT = {"depths": [1, 1, 1, 1], "dims": [16, 16, 16, 32]}
RESNET = {"width_per_group": 2}
ROWS = 1  # image
PAIRS = "some-pairs.csv"  # of the 66: for each source class one published as good and two as bad
ONE_THREAD = ("--set-threads", "predict=1", "counterfactuals=1", "--resources", "gpu=2")  # where two jobs fit, two run
SETTINGS = ("vaeth-cone-x0", "vaeth-cone", "vaeth-x0", "vaeth")


def shape(**changed: Any) -> Shape:
    return Shape(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in {**NARROW, **changed}.items()}
    )


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """The network with weights that are nowhere zero, so that everything in it counts."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    return network.eval()


def settled(network: torch.nn.Module) -> torch.nn.Module:
    """The network with the batch statistics of some images, without which signals die out on the way through it."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(8, 3, SEEN, SEEN))
    return network.eval()


def shrink(values: dict[str, Any]) -> dict[str, Any]:
    """The study with other widths, sizes and rows, and nothing else."""
    values["dataset"] |= {"size": SIZE, "rows": ROWS}
    values |= {"shard_rows": ROWS, "explained_rows": ROWS, "statistics": {"bootstrap": 100}}
    classifiers = values["classifiers"]
    classifiers["UNet"]["shape"] = {**NARROW, "out_channels": 1000}
    classifiers["Madry"] |= {"options": RESNET, "size": SEEN}
    classifiers["SimCLR"] |= {"options": RESNET, "size": SEEN}
    classifiers["ConvNeXt"] |= {"options": CONVNEXT, "size": SEEN}
    # torchvision makes these in one width only: the smallest networks that it has stand for them.
    classifiers["Swin"] |= {"torchvision": "shufflenet_v2_x0_5", "size": SEEN}
    for name in ("AlexNet", "Random"):
        classifiers[name] |= {"torchvision": "squeezenet1_1", "size": SEEN}
    values["generators"]["adm-256"]["shape"] = NARROW
    for method in values["counterfactuals"].values():
        method |= {"steps": 3, "skip": 2, "target": {**method["target"], "table": PAIRS}}
    return values


def write_pairs(published: Path, some: Path) -> None:
    """The first pairs of each source class as a table of their own."""
    pairs = polars.read_csv(published)
    counted = pairs.group_by("source_class").len()
    assert sorted(counted["source_class"]) == sorted(SOURCES) and set(counted["len"]) == {11}
    pairs.group_by("source_class", maintain_order=True).head(3).write_csv(some)


def write_files(folder: Path, values: dict[str, Any]) -> None:
    """Every file that the study names, in the format in which its publisher gives it, with random weights."""
    torch.manual_seed(1)
    classifiers = values["classifiers"]
    places = {
        name: folder / (entry.get("checkpoint") or entry.get("noisy_classifier", ""))
        for name, entry in classifiers.items()
    }
    places["Madry"].parent.mkdir(parents=True)
    torch.save(shaken(NoisyClassifier(shape(out_channels=1000))).state_dict(), places["UNet"])
    robust = {
        "model": robustness(settled(models.resnet50(**RESNET)).state_dict()),
        "epoch": 3,
        "schedule": lambda epoch: epoch,
    }
    torch.save(robust, places["Madry"], pickle_module=dill)
    save_file(timm.create_model("convnext_large", **CONVNEXT).state_dict(), places["ConvNeXt"])
    torch.save(settled(models.shufflenet_v2_x0_5()).state_dict(), places["Swin"])
    linear = settled(models.resnet50(**RESNET)).state_dict()
    linear = {f"{'head' if key.startswith('fc.') else 'backbone'}.{key}": value for key, value in linear.items()}
    torch.save({"meta": {"epoch": 90}, "state_dict": linear}, places["SimCLR"])
    torch.save(models.squeezenet1_1().state_dict(), places["AlexNet"])
    torch.save(shaken(UNet(shape())).state_dict(), folder / values["generators"]["adm-256"]["checkpoint"])
    (folder / "resources" / "imagenet").mkdir()
    write_imagenet(folder / "resources" / "imagenet", dict.fromkeys((*SOURCES, 7), 1))


@pytest.fixture(scope="module")
def twin(new_workflow):
    """The study on its tiny files, after its run."""
    workflow = new_workflow("vce")
    values = shrink(workflow.read_study(STUDY))
    workflow.write_study(values)
    write_files(workflow.folder, values)
    write_pairs(workflow.folder / "data" / "published" / "vaeth2023-pairs.csv", workflow.folder / PAIRS)
    process = workflow.run(STUDY, *ONE_THREAD)
    assert process.returncode == 0, process.stderr
    return workflow


def sources(twin) -> dict[str, int]:
    """The source class of each image."""
    return {row["image_id"]: dict(row["attributes"])["label"] for row in twin.rows(STUDY, "images")}


def test_images_are_of_the_six_source_classes(twin):
    images = twin.rows(STUDY, "images")
    assert len(images) == ROWS and set(sources(twin).values()) <= set(SOURCES)
    assert {(row["status"], row["height"], row["width"]) for row in images} == {("ok", SIZE, SIZE)}


def test_every_classifier_makes_every_setting_of_every_pair(twin):
    sampled = sources(twin)
    pairs = polars.read_csv(twin.folder / PAIRS).select("source_class", "target_class").rows()
    classifiers = twin.read_study(STUDY)["classifiers"]
    made = Counter(
        (row["classifier"], row["method"], row["image_id"], row["target"])
        for row in twin.rows(STUDY, "counterfactuals")
    )
    assert len(classifiers) == 7 and set(made.values()) == {1}
    assert set(made) == {
        (name, setting, image_id, target)
        for name in classifiers
        for setting in SETTINGS
        for image_id, label in sampled.items()
        for source, target in pairs
        if source == label
    }


def test_the_robust_classifier_is_the_same_with_and_without_its_own_cone(twin):
    rows = {
        (row["method"], row["image_id"], row["target"]): row["image"]["bytes"]
        for row in twin.rows(STUDY, "counterfactuals")
        if row["classifier"] == "Madry"
    }
    for with_cone, without in (("vaeth-cone-x0", "vaeth-x0"), ("vaeth-cone", "vaeth")):
        same = [rows[with_cone, *key] == image for (method, *key), image in rows.items() if method == without]
        assert sum(same) >= 0.95 * len(same)


def test_classes_have_their_names_in_the_report(twin):
    page = twin.page(STUDY)
    assert all(name in page for name in twin.read_study(STUDY)["classifiers"])
    assert all(class_names()[label] in page for label in sources(twin).values())
