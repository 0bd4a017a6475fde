"""Studies with real renders and networks whose rule is known, as the stages before the report write them."""

import shutil
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from pipeline.fingerprint import canonical_json
from pipeline.images import content, encode_mask, image_struct
from pipeline.noise import stream
from pipeline.stages.report import report
from pipeline.tables import read_table, write_table
from pipeline.worlds import Scene, draw_scene, intervene, load_world
from tests.report.known_maps import add_maps

PORTRAITS = load_world("portraits")
SMILE = {"smile": ["absent", "present"]}
DIGEST = "0123456789abcdef" * 4
READER = {concept.name: list(concept.values) for concept in PORTRAITS.concepts}


def honest(concepts: dict, nuisance: dict) -> np.ndarray:
    """A network that looks at the smile; images close to its border flip by a hat or a beard too."""
    score = 5 * concepts["smile"] - 2.5 + 12 * (nuisance["shift_x"] + nuisance["tilt"])
    score += 0.3 * concepts["hat"] - 0.2 * concepts["beard"]
    return np.array([0, score])


def cheat(concepts: dict, nuisance: dict) -> np.ndarray:
    """A network that looks mostly at the glasses, on bright images."""
    glasses, smile = (3.0, 1.2) if nuisance["brightness"] > 0.97 else (0.4, 4.0)
    score = glasses * concepts["glasses"] + smile * concepts["smile"] - 2 + 9 * nuisance["shift_x"]
    return np.array([0, score])


def see(concept: str):
    """A network that names the values of one concept, and errs where the face is far to one side."""

    def logits(concepts: dict, nuisance: dict) -> np.ndarray:
        value = (concepts[concept] + (nuisance["shift_x"] > 0.045)) % len(READER[concept])
        return 4.0 * np.eye(len(READER[concept]))[value]

    return logits


NETWORKS = {
    "smile-cnn": (SMILE, {"smile": honest}),
    "smile-shortcut": (SMILE, {"smile": cheat}),
    "smile-vit": (SMILE, {"smile": see("smile")}),
    "concepts": (READER, {concept: see(concept) for concept in READER}),
}
STEPS = [
    {"name": "sample", "says": "Take the images.", "reads": [], "writes": "images"},
    {"name": "intervene", "says": "Change the images.", "reads": ["sample"], "writes": "interventions"},
    {"name": "score", "says": "Score <every> row.", "reads": ["sample", "intervene"], "writes": "scores"},
    {"name": "report", "says": "Write the page.", "reads": ["score"], "writes": "page"},
]
ROLES = {"classifiers": ["smile-cnn", "smile-shortcut"], "oracles": ["smile-vit"], "readers": ["concepts"]}


@dataclass
class Study:
    """The files of a study and the options of its report."""

    folder: Path
    options: dict
    files: dict

    @property
    def page(self) -> Path:
        return self.folder / "report" / "index.html"

    def options_text(self, **options) -> str:
        """The options of the report as the workflow gives them; some may be replaced."""
        return canonical_json({**self.options, **options})

    def build(self, **options) -> str:
        """Run the stage and return its page; options replace those of the study."""
        report(options=self.options_text(**options), code="code", page=self.page, **self.files)
        return self.page.read_text(encoding="utf-8")

    def copy(self, folder: Path) -> "Study":
        """The study in another folder."""
        shutil.copytree(self.folder, folder)

        def moved(files):
            return [*map(moved, files)] if isinstance(files, list) else folder / files.relative_to(self.folder)

        return Study(folder, {**self.options}, {table: moved(files) for table, files in self.files.items()})

    def rewrite(self, table: str, rows: list[dict], **provenance) -> None:
        """Put other rows in the place of a table (its only part)."""
        path = self.files[table][0] if isinstance(self.files[table], list) else self.files[table]
        write_table(path, table, rows, {**origin(table), **provenance})

    def rename_classifier(self, name: str, other: str) -> None:
        """Give a network of the predictions another name."""
        rows = read_table(self.files["predictions"], "predictions").to_pylist()
        rows = [{**row, "classifier": other} if row["classifier"] == name else row for row in rows]
        self.rewrite("predictions", rows, tasks={other: SMILE})


def origin(table: str) -> dict:
    """Provenance as the stage of a table writes it."""
    stages = {
        "images": ("sample", []),
        "interventions": ("intervene", ["images"]),
        "predictions": ("predict", ["images", "interventions"]),
        "scores": ("score", ["images", "interventions", "predictions"]),
        "saliency": ("saliency", ["images", "predictions"]),
        "counterfactuals": ("counterfactuals", ["images", "predictions"]),
        "metrics": ("metrics", ["scores"]),
    }
    stage, inputs = stages[table]
    provenance = {"stage": stage, "study": "tiny", "inputs": inputs, "code": DIGEST[::-1], "seed": 2026}
    if table == "images":
        provenance |= {"tasks": READER, "options": {"dataset": {"world": "portraits", "size": 32}}}
    if table == "predictions":
        provenance |= {
            "tasks": {name: tasks for name, (tasks, _) in NETWORKS.items()},
            "weights": {name: {"file": f"sha256:{DIGEST}"} for name in NETWORKS},
        }
    if table == "metrics":
        provenance |= {"options": {"bootstrap": 2000, "confidence": 0.95}}
    return provenance


def image_rows(scenes: dict[str, Scene], size: int) -> list[dict]:
    rows = []
    for image_id, scene in scenes.items():
        image = PORTRAITS.render(scene, size)
        rows.append(
            {
                **{"row_id": image_id, "image_id": image_id, "status": "ok", "image": image_struct(image)},
                **{"content": content(image), "height": size, "width": size, "split": "test"},
                **{"attributes": PORTRAITS.labels(scene.concepts), "concepts": scene.concepts},
                "parts": [
                    {"concept": name, "mask": encode_mask(mask)} for name, mask in PORTRAITS.parts(scene, size).items()
                ],
            }
        )
    return rows


def intervention_rows(scenes: dict[str, Scene], size: int) -> list[dict]:
    rows = []
    for (image_id, scene), concept in product(scenes.items(), PORTRAITS.concepts):
        for value, name in enumerate(concept.values):
            if value != scene.concepts[concept.name]:
                image = PORTRAITS.render(intervene(PORTRAITS, scene, concept.name, value), size)
                rows.append(
                    {
                        **{"row_id": f"{image_id}/{concept.name}={name}", "image_id": image_id, "status": "ok"},
                        **{"concept": concept.name, "value": value, "value_name": name},
                        **{"original": scene.concepts[concept.name], "image": image_struct(image)},
                    }
                )
    return rows


def prediction_rows(scenes: dict[str, Scene], interventions: list[dict]) -> list[dict]:
    """What every network says of every image and intervention."""
    seen = [("images", image_id, image_id, scene.concepts) for image_id, scene in scenes.items()]
    for row in interventions:
        concepts = {**scenes[row["image_id"]].concepts, row["concept"]: row["value"]}
        seen.append(("interventions", row["row_id"], row["image_id"], concepts))
    rows = []
    for name, (_, heads) in NETWORKS.items():
        for (source, source_row_id, image_id, concepts), task in product(seen, heads):
            logits = heads[task](concepts, scenes[image_id].nuisance)
            rows.append(prediction(name, task, source, source_row_id, image_id, logits, concepts[task]))
    return rows


def prediction(network, task, source, source_row_id, image_id, logits, label) -> dict:
    shares = np.exp(logits) / np.exp(logits).sum()
    return {
        **{"row_id": f"{network}/{task}/{source_row_id}", "image_id": image_id, "classifier": network, "status": "ok"},
        **{"source": source, "source_row_id": source_row_id, "task": task, "logits": logits, "label": label},
        **{"predicted": int(logits.argmax()), "confidence": float(shares.max())},
    }


def metric(metric, classifier, value, low=None, high=None, n=None, concept=None, target_class=None) -> dict:
    """A row of the metrics."""
    parts = [metric, classifier, concept, target_class]
    return {
        **{"row_id": "/".join(part for part in parts if part), "status": "ok", "family": "classifiers"},
        **{"metric": metric, "classifier": classifier, "concept": concept, "target_class": target_class},
        **{"value": value, "ci_low": low, "ci_high": high, "n": n},
    }


def mean_with_interval(values: list[float]) -> tuple[float, float, float, int]:
    """Mean, ends of its bootstrap interval, and how many."""
    values = np.array(values, float)
    draws = values[stream(1, "bootstrap", "test").integers(0, len(values), (1000, len(values)))].mean(1)
    return float(values.mean()), float(np.quantile(draws, 0.025)), float(np.quantile(draws, 0.975)), len(values)


def metric_rows(predictions: list[dict], interventions: list[dict]) -> list[dict]:
    """Accuracies, flip rates and effects, worked out from the predictions."""
    rows = []
    for name, (tasks, _) in NETWORKS.items():
        for task in tasks:
            own = [row for row in predictions if (row["classifier"], row["task"]) == (name, task)]
            unchanged = [row for row in own if row["source"] == "images"]
            right = [row["label"] == row["predicted"] for row in unchanged]
            concept = task if len(tasks) > 1 else None
            rows.append(metric("accuracy", name, *mean_with_interval(right), concept=concept))
            if name in ROLES["classifiers"] and interventions:
                rows += effect_rows(name, {row["source_row_id"]: row for row in own}, interventions)
    return rows


def effect_rows(name: str, found: dict[str, dict], interventions: list[dict]) -> list[dict]:
    def share(row: dict, index: int) -> float:
        return float(np.exp(row["logits"])[index] / np.exp(row["logits"]).sum())

    rows = []
    for concept in PORTRAITS.concepts:
        flips, effects, signed = {}, {}, []
        for change in (row for row in interventions if row["concept"] == concept.name):
            before, after, image_id = found[change["image_id"]], found[change["row_id"]], change["image_id"]
            drop = abs(share(after, before["predicted"]) - share(before, before["predicted"]))
            flips[image_id] = flips.get(image_id, False) or before["predicted"] != after["predicted"]
            effects[image_id] = max(effects.get(image_id, 0.0), drop)
            signed.append((share(after, 1) - share(before, 1)) * (1 if change["value"] else -1))
        rows.append(metric("intervention_flip_rate", name, *mean_with_interval([*flips.values()]), concept.name))
        rows.append(metric("intervention_effect", name, *mean_with_interval([*effects.values()]), concept.name))
        if len(concept.values) == 2:
            value, low, high, n = mean_with_interval(signed)
            there = ("average_causal_effect", name, value, low, high, n, concept.name, "present")
            back = ("average_causal_effect", name, -value, -high, -low, n, concept.name, "absent")
            rows += [metric(*there), metric(*back)]
    return rows


def write_study(folder: Path, rows: int, size: int, *, truth: bool = True, shards: int = 1) -> Study:
    """Write the tables of a study of portraits; without truth as one of a folder, which has no interventions."""
    ids = [f"portraits-test-{index:06d}" for index in range(rows)]
    scenes = {image_id: draw_scene(PORTRAITS, 2026, image_id) for image_id in ids}
    files: dict = {"images": [], "interventions": [], "predictions": []}
    predictions, interventions = [], []
    for shard in range(shards):
        own = {image_id: scenes[image_id] for image_id in ids[shard::shards]}
        tables = {"images": image_rows(own, size), "interventions": intervention_rows(own, size) if truth else []}
        tables["predictions"] = prediction_rows(own, tables["interventions"])
        for table, content_rows in tables.items():
            if content_rows:
                path = folder / "tables" / table / f"part-{shard:03d}.parquet"
                write_table(path, table, content_rows, origin(table))
                files[table].append(path)
        predictions += tables["predictions"]
        interventions += tables["interventions"]
    files |= {"scores": [folder / "tables" / "scores.parquet"], "metrics": folder / "tables" / "metrics.parquet"}
    write_table(files["scores"][0], "scores", [], origin("scores"))
    write_table(files["metrics"], "metrics", metric_rows(predictions, interventions), origin("metrics"))
    options = {"study": "tiny", "title": None, "examples": 3, "order": "worst", "roles": ROLES, "steps": STEPS}
    return Study(folder, options, files)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Makes a copy of a small study of portraits, one part of each table; each kind is written once for all tests."""
    studies: dict[str, Study] = {}

    def copied(folder: Path, kind: str, add=lambda study: study) -> Study:
        if kind not in studies:
            studies[kind] = add(write_study(tmp_path_factory.mktemp(kind), rows=8, size=32))
        return studies[kind].copy(folder)

    return copied


@pytest.fixture
def study(tmp_path, written):
    """A small study of portraits."""
    return written(tmp_path / "study", "study")


@pytest.fixture
def map_study(tmp_path, written):
    """The small study with maps that follow known rules, one table and one file of scores per classifier."""
    return written(tmp_path / "maps", "maps", lambda study: add_maps(study, ROLES["classifiers"]))


@pytest.fixture
def study_in_parts(tmp_path):
    """The small study, each table in two parts."""
    return write_study(tmp_path, rows=8, size=32, shards=2)


@pytest.fixture
def folder_study(tmp_path):
    """A study of images without interventions."""
    return write_study(tmp_path / "folder", rows=8, size=32, truth=False)


@pytest.fixture
def metric_row():
    """The function that makes a row of the metrics."""
    return metric
