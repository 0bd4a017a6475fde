"""Where a bad input is made: a folder with good images, and the commands that meet the input."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import timm
import torch
from PIL import Image

from pipeline.classifiers.file import build_network, save_classifier
from pipeline.classifiers.identity import identify
from pipeline.study import Study
from pipeline.tables import write_table
from pipeline.workflow.plan import Plan

FOLDER = {"folder": "photos", "size": 32, "rows": 2, "shares": {"test": 1}}
CLASSES = ["absent", "present"]
BRIGHTNESS = '''
import torch


def load():
    """Class 1 where the mean of all pixels and channels is above a half."""
    def logits(images):
        brightness = images.mean((1, 2, 3))
        return torch.stack([0.5 - brightness, brightness - 0.5], 1)

    return logits
'''


@dataclass(frozen=True)
class Bench:
    """The working directory of the command; outputs go to `results`, which must stay empty if the input is refused.

    images: the table of two images of a world, made once for all.
    """

    folder: Path
    images: Path

    def write(self, name: str, content: str | bytes) -> str:
        """A file of the working directory, and its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def photos(self, *names: str) -> None:
        """Images that all differ, below the folder `photos`."""
        noise = np.random.default_rng(0)
        for name in names or ("cats/1.png", "cats/2.png", "dogs/3.png"):
            path = self.folder / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise.integers(0, 256, (16, 16, 3), np.uint8)).save(path)

    def parquet(self, path: str, **columns: list) -> str:
        """A Parquet file of the working directory, and its name."""
        pyarrow.parquet.write_table(pyarrow.table(columns), self.folder / path)
        return path

    def network(self, name: str = "mine.safetensors") -> str:
        """A network in our own format, and its name."""
        torch.manual_seed(0)
        heads = {"smile": CLASSES}
        save_classifier(
            build_network("test_resnet", {}, heads),
            self.folder / name,
            architecture="test_resnet",
            options={},
            heads=heads,
            size=32,
            mean=0.5,
            std=0.25,
        )
        return name

    def state(self) -> dict[str, torch.Tensor]:
        """The weights of timm's `test_resnet` with two outputs."""
        torch.manual_seed(0)
        return timm.create_model("test_resnet", num_classes=2).state_dict()

    def entry_point(self, source: str) -> dict[str, Any]:
        """The entry of a classifier of the person's own."""
        return {"entry_point": f"{self.write('mine.py', source)}:load", "task": "smile", "classes": CLASSES}

    def plan(self, dataset: dict[str, Any], entry: dict[str, Any], **sections: Any) -> Plan:
        values = {"study": "tiny", "dataset": dataset, "classifiers": {"mine": entry}, **sections}
        return Plan(Study.model_validate(values))

    def sample(self, *, images: str = "results/images.parquet", **dataset: Any) -> list[str]:
        """The command that takes images of the folder `photos`, or of the dataset that the options describe."""
        chosen = dataset if {"huggingface", "imagenet"} & set(dataset) else {**FOLDER, **dataset}
        options = self.plan(chosen, {"onnx": "mine.onnx", "classes": CLASSES}).options("sample")
        return ["sample", "--options", options, "--code", "code", "--images", images]

    def identify(self, entry: dict[str, Any]) -> list[str]:
        """The command that hashes the files of a network."""
        options = self.plan({"world": "portraits"}, entry).options("identify")
        return ["identify", "--options", options, "--identities", "results/mine.json"]

    def predict(
        self,
        entry: dict[str, Any],
        *,
        images: Path | str | None = None,
        store: str = "rows",
        output: str = "results/predictions.parquet",
    ) -> list[str]:
        """The command that runs a network, identified already, on two portraits."""
        self.write("mine.json", json.dumps(identify("mine", entry)))
        return [
            *("predict", "--options", self.plan({"world": "portraits"}, entry).options("predict"), "--code", "code"),
            *("--images", str(images or self.images), "--identities", "mine.json", "--store", store),
            *("--predictions", output),
        ]

    def saliency(self, entry: dict[str, Any], method: dict[str, Any]) -> list[str]:
        """The command that explains decisions of a network, which are made up."""
        ids = pyarrow.parquet.read_table(self.images, columns=["image_id"]).column(0).to_pylist()
        rows = [
            {
                "row_id": f"mine/smile/{image_id}",
                "image_id": image_id,
                "classifier": "mine",
                "status": "ok",
                "source": "images",
                "source_row_id": image_id,
                "task": "smile",
                "logits": [0.0, 1.0],
                "predicted": 1,
                "confidence": 0.7,
            }
            for image_id in ids
        ]
        write_table(self.folder / "predictions.parquet", "predictions", rows, {"stage": "predict"})
        self.write("mine.json", json.dumps(identify("mine", entry)))
        plan = self.plan({"world": "portraits"}, entry, saliency={"map": method})
        return [
            *("saliency", "--options", plan.options("saliency"), "--code", "code", "--rows", "2"),
            *("--images", str(self.images), "--predictions", "predictions.parquet", "--classifier", "mine"),
            *("--identity", "mine.json", "--store", "rows", "--saliency", "results/saliency.parquet"),
        ]

    def metrics(self, metric: str) -> list[str]:
        """The command that summarises scores, of which there is one."""
        score = {"row_id": "a", "image_id": "a", "status": "ok", "family": "classifiers", "metric": metric, "value": 1}
        write_table(self.folder / "scores.parquet", "scores", [score], {"stage": "score"})
        options = json.dumps({"study": "tiny", "seed": 1, "bootstrap": 100, "confidence": 0.95})
        return [
            *("metrics", "--options", options, "--code", "code", "--scores", "scores.parquet"),
            *("--metrics", "results/metrics.parquet"),
        ]
