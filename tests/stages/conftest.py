"""Stages called as functions, on studies that are small enough to work out by hand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.stages.attribute import attribute
from pipeline.stages.counterfactuals import counterfactuals
from pipeline.stages.directions import directions
from pipeline.stages.encode import encode
from pipeline.stages.encode_search import encode_search
from pipeline.stages.identify import identify
from pipeline.stages.intervene import intervene
from pipeline.stages.judge import judge
from pipeline.stages.predict import predict
from pipeline.stages.saliency import saliency
from pipeline.stages.sample import sample
from pipeline.stages.score import score
from pipeline.stages.score_counterfactuals import score_counterfactuals
from pipeline.stages.score_saliency import score_saliency
from pipeline.stages.transfer import transfer
from pipeline.study import Study
from pipeline.tables import read_table
from pipeline.workflow.plan import Plan
from tests.small_batches import batch_small

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
class Tables:
    """The stages of one study, called one by one; every table is one file in `folder`."""

    folder: Path
    plan: Plan

    def path(self, name: str) -> Path:
        """Where a table is written."""
        return self.folder / self.plan.study.study / f"{name}.parquet"

    def sample(self) -> list[dict[str, Any]]:
        """Write the images and return their rows."""
        sample(self.plan.options("sample"), "code", [self.path("images")])
        return self.rows("images")

    def intervene(self) -> list[dict[str, Any]]:
        """Write the interventions and return their rows."""
        intervene(self.plan.options("intervene"), "code", self.path("images"), self.path("interventions"))
        return self.rows("interventions")

    def predict(self) -> list[dict[str, Any]]:
        """Write the predictions and return their rows; all studies in `folder` share a row store."""
        identities = self.identities(*self.plan.networks)
        identify(self.plan.options("identify"), self.identities(*self.plan.identified))
        interventions = self.path("interventions")
        predict(
            self.plan.options("predict"),
            "code",
            self.path("images"),
            identities,
            self.folder / "rows",
            self.path("predictions"),
            interventions if interventions.exists() else None,
        )
        return self.rows("predictions")

    def identities(self, *networks: str) -> list[Path]:
        """Where the identities of networks and generators are written."""
        return [self.folder / self.plan.study.study / f"{network}.json" for network in networks]

    def fillers(self, stage: str, classifier: str) -> list[str]:
        """The in-fillers with weights that a stage is given."""
        return [name for name in self.plan.job(stage, classifier=classifier).networks if name in self.plan.fillers]

    def score(self) -> list[dict[str, Any]]:
        """Write the scores of images and interventions and return their rows."""
        interventions = [self.path("interventions")] if self.path("interventions").exists() else None
        score(
            self.plan.options("score"),
            "code",
            [self.path("images")],
            [self.path("predictions")],
            self.path("scores"),
            interventions,
        )
        return self.rows("scores")

    def saliency(self, classifier: str) -> list[dict[str, Any]]:
        """Write the maps of a classifier and return their rows."""
        identity = self.folder / self.plan.study.study / f"{classifier}.json"
        saliency(
            self.plan.options("saliency"),
            "code",
            self.plan.explained_rows("000"),
            self.path("images"),
            self.path("predictions"),
            classifier,
            identity,
            self.folder / "rows",
            self.path("saliency"),
            self.identities(*self.fillers("saliency", classifier)),
        )
        return self.rows("saliency")

    def counterfactuals(self, classifier: str) -> list[dict[str, Any]]:
        """Write the counterfactuals of a classifier and return their rows."""
        counterfactuals(
            self.plan.options("counterfactuals"),
            "code",
            self.plan.explained_rows("000"),
            0,
            self.path("images"),
            self.path("predictions"),
            classifier,
            self.identities(*self.plan.job("counterfactuals", classifier=classifier).networks),
            self.folder / "rows",
            self.path("counterfactuals"),
            [self.path("predictions")],
            [self.path("saliency")] if self.path("saliency").exists() else None,
        )
        return self.rows("counterfactuals")

    def encode(self) -> list[dict[str, Any]]:
        """Write the codes of the images that are explained and return their rows."""
        identities = self.identities(*self.plan.job("encode").networks)
        store, path = self.folder / "rows", self.path("codes")
        rows = self.plan.explained_rows("000")
        encode(self.plan.options("encode"), "code", rows, self.path("images"), identities, store, path)
        return self.rows("codes")

    def directions(self, classifier: str) -> list[dict[str, Any]]:
        """Write the codes of other images and the directions of a classifier, and return the rows of these."""
        options, store, searched = self.plan.options("encode_search"), self.folder / "rows", self.path("searched")
        encode_search(options, "code", self.identities(*self.plan.job("encode_search").networks), store, searched)
        identities = self.identities(*self.plan.job("directions", classifier=classifier).networks)
        options, path = self.plan.options("directions"), self.path("directions")
        directions(options, "code", searched, classifier, identities, store, path)
        return self.rows("directions")

    def transfer(self, classifier: str) -> list[dict[str, Any]]:
        """Write where the directions of a classifier lead the images that are explained, and return the rows."""
        path = self.path("transferred")
        transfer(self.plan.options("transfer"), *self.followed("transfer", classifier), path)
        return read_table(path, "counterfactuals").to_pylist()

    def attribute(self, classifier: str) -> list[dict[str, Any]]:
        """Write the maps of the directions of a classifier and return the rows."""
        path = self.path("attributed")
        attribute(self.plan.options("attribute"), *self.followed("attribute", classifier), path)
        return read_table(path, "saliency").to_pylist()

    def followed(self, stage: str, classifier: str) -> tuple[Any, ...]:
        """What a stage that follows directions is given beside its options and its table."""
        return (
            "code",
            self.plan.explained_rows("000"),
            0,
            *(self.path(name) for name in ("images", "predictions", "codes")),
            [self.path("directions")],
            classifier,
            self.identities(*self.plan.job(stage, classifier=classifier).networks),
            self.folder / "rows",
        )

    def score_saliency(self, classifier: str) -> list[dict[str, Any]]:
        """Write the scores of the maps of a classifier and return their rows."""
        path = self.path("scores").with_name("map-scores.parquet")
        options = self.plan.options("score_saliency")
        images = [self.path("images")]
        maps = [path for path in map(self.path, ("saliency", "attributed")) if path.exists()]
        fillers = self.identities(*self.fillers("score_saliency", classifier))
        score_saliency(options, "code", images, maps, self.path("scores"), classifier, path, fillers=fillers)
        return read_table(path, "scores").to_pylist()

    def judge(self) -> list[dict[str, Any]]:
        """Write what networks say of the counterfactuals and return the rows."""
        path = self.path("judged")
        made, identities = [self.path("counterfactuals")], self.identities(*self.plan.job("judge").networks)
        options = self.plan.options("judge")
        judge(options, "code", self.path("predictions"), made, identities, self.folder / "rows", path)
        return read_table(path, "predictions").to_pylist()

    def score_counterfactuals(self, classifier: str) -> list[dict[str, Any]]:
        """Write the scores of the counterfactuals of a classifier and return their rows."""
        path = self.path("scores").with_name("counterfactual-scores.parquet")
        judged = [self.path("judged")] if self.path("judged").exists() else []
        interventions = [self.path("interventions")] if self.path("interventions").exists() else []
        score_counterfactuals(
            self.plan.options("score_counterfactuals"),
            "code",
            *([self.path(name)] for name in ("images", "predictions", "counterfactuals")),
            classifier,
            self.identities(classifier, *self.plan.measuring),
            path,
            judged,
            interventions,
        )
        return read_table(path, "scores").to_pylist()

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table."""
        return read_table(self.path(name), name).to_pylist()

    def cost(self, table: str) -> dict[str, Any]:
        """What the job that wrote a table cost."""
        (row,) = read_table(self.path(table).parent / "costs" / f"{table}.parquet", "costs").to_pylist()
        return row


def bright_entry(folder: Path) -> dict[str, Any]:
    """The entry of a classifier that knows bright images from dark ones, whose source is written to a folder."""
    path = folder / "brightness.py"
    path.write_text(BRIGHTNESS, encoding="utf-8")
    return {"entry_point": f"{path}:load", "task": "smile", "classes": ["absent", "present"]}


def study_maker(folder: Path, brightness: dict[str, Any]) -> Callable[..., Tables]:
    """Makes a study of portraits judged by `brightness`; the dataset's options and whole sections can be replaced."""

    def make(dataset: dict[str, Any] | None = None, name: str = "tiny", **sections: Any) -> Tables:
        chosen = {"world": "portraits", "size": 32, "rows": 4, **(dataset or {})}
        if "folder" in chosen:
            del chosen["world"]
        values = {"study": name, "dataset": chosen, "classifiers": {"bright": brightness}, **sections}
        return Tables(folder, Plan(Study.model_validate(values)))

    return make


@pytest.fixture(autouse=True, scope="session")
def small_batches() -> Iterator[None]:
    """Stages batch few rows."""
    with pytest.MonkeyPatch.context() as patch:
        batch_small(patch)
        yield


@pytest.fixture
def brightness(tmp_path) -> dict[str, Any]:
    """The entry of a classifier that knows bright images from dark ones."""
    return bright_entry(tmp_path)


@pytest.fixture
def study(tmp_path, brightness) -> Callable[..., Tables]:
    """Makes a study of portraits judged by `brightness`; the dataset's options and whole sections can be replaced."""
    return study_maker(tmp_path, brightness)
