"""What a study will take, counted from the study alone: jobs, rows, network evaluations, bytes.

Counts of jobs, rows and evaluations are exact where images, labels and classes are known beforehand, as in the worlds;
else they are what there will be if every image is whole and labelled. Bytes are estimates.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any

from pipeline.explain.evaluations import spent_per_image
from pipeline.study.plan import Plan
from pipeline.worlds import World, load_world

SIDE = 224  # pixels; taken for a dataset that leaves every image as it is
ROWS_AT_ONCE = 96  # of the stage `saliency`: images that are explained together, and rows of a batch
CURVE_IMAGES = 24  # of `flipping_curves`: eleven shares removed, eleven kept, none and all
KEY = "classifier"  # in the header of a network of our own format

# Bytes of a row, measured on tables of 64 pixel images; files have a footer each.
FILE_BYTES = 6000
ROW_BYTES = {"images": 190, "interventions": 65, "predictions": 32, "saliency": 60, "scores": 12}
LOGITS_ROW_BYTES = 50
MAP_ROW_BYTES = 100
BYTES_PER_VALUE = 4
PNG_BYTES_PER_PIXEL = {"portraits": 1.25, "shapes": 0.15, "digits": 0.5}
PHOTO_BYTES_PER_PIXEL = 2.0  # PNG of photographs: two thirds of what three bytes per pixel take
MASK_BYTES_PER_PIXEL = 0.3  # of all parts together


@dataclass(frozen=True)
class Passes:
    """The passes of one network in one stage, under one method: forward alone, and forward with backward.

    rows: those that are kept under that network and method. store_bytes: what the row store keeps of them. filled: rows
    that are computed for each pass that counts, 1 or more, since short batches are padded.
    """

    network: str
    method: str | None
    rows: int
    forward: int
    with_backward: int
    store_bytes: float = 0.0
    filled: float = 1.0

    @property
    def network_evaluations(self) -> int:
        return self.forward + self.with_backward


@dataclass(frozen=True)
class Work:
    """What one stage takes. outputs: the files that each of its jobs writes. rows: None where they cannot be told."""

    stage: str
    outputs: list[list[str]]
    rows: int | None
    passes: list[Passes] = field(default_factory=list)
    table_bytes: float = 0.0

    @property
    def jobs(self) -> int:
        return len(self.outputs)

    @property
    def network_evaluations(self) -> int:
        return sum(each.network_evaluations for each in self.passes)

    @property
    def store_bytes(self) -> float:
        return sum(each.store_bytes for each in self.passes)


class Estimate:
    """The work of a study, stage by stage. png_bytes_per_pixel: of its images, where they were measured."""

    def __init__(self, plan: Plan, png_bytes_per_pixel: float | None = None):
        self.plan = plan
        self.study = plan.study
        self.dataset = plan.study.dataset.model_dump()
        self.side = self.dataset.get("size") or SIDE
        self.images = self.study.dataset.rows
        self.explained = sum(plan.explained_rows(shard) for shard in plan.shards) if self.study.saliency else 0
        self.explained = min(self.explained, self.images)
        self.world: World | None = load_world(self.dataset["world"]) if plan.has_truth else None
        self.heads = {name: self.heads_of(name) for name in plan.networks}
        self.png_bytes_per_pixel = png_bytes_per_pixel or self.assumed_png_bytes_per_pixel()

    def work(self) -> list[Work]:
        """The stages of the study in the order in which they run."""
        stages = [self.train(), self.identify(), self.sample(), self.intervene(), self.predict(), self.saliency()]
        stages += [self.score(), self.score_saliency(), self.metrics(), self.report()]
        return [stage for stage in stages if stage.jobs]

    @property
    def interventions(self) -> int:
        """Interventions of all images: one for every other value of every concept."""
        if self.world is None:
            return 0
        return self.images * sum(len(concept.values) - 1 for concept in self.world.concepts)

    def train(self) -> Work:
        """Only networks that are missing are trained; an attack takes as many passes again as it has steps."""
        plan, passes, outputs = self.plan, [], []
        for name in dict.fromkeys(network.trained for network in plan.networks.values() if network.trained):
            (file,) = [plan.weights(each)[0] for each, network in plan.networks.items() if network.trained == name][:1]
            if not Path(file).exists():
                recipe = self.study.training[name]
                attacked = 1 + (recipe.attack_steps if recipe.epsilon else 0)
                passes.append(Passes(name, None, 0, 0, recipe.steps * recipe.batch_size * attacked))
                outputs.append([file])
        return Work("train", outputs, None, passes)

    def identify(self) -> Work:
        return Work("identify", [[self.plan.identity(network) for network in self.plan.networks]], None)

    def sample(self) -> Work:
        """Where networks must be right, each looks at every image taken; how many it refuses is not known before."""
        files = self.plan.parts("images", "sample")
        masks = MASK_BYTES_PER_PIXEL if self.world else 0.0
        size = self.images * (ROW_BYTES["images"] + self.pixels * (self.png_bytes_per_pixel + masks))
        passes = [Passes(name, None, self.images, self.images, 0) for name in self.study.dataset.correct]
        return Work("sample", [files], self.images, passes, size + len(files) * FILE_BYTES)

    def intervene(self) -> Work:
        if self.world is None:
            return Work("intervene", [], 0)
        files = self.plan.parts("interventions", "intervene")
        size = self.interventions * (ROW_BYTES["interventions"] + self.pixels * self.png_bytes_per_pixel)
        return Work("intervene", one_each(files), self.interventions, [], size + len(files) * FILE_BYTES)

    def predict(self) -> Work:
        """Every network on every image and intervention once; a table's row for each of its tasks."""
        looked_at = self.images + self.interventions
        files = self.plan.parts("predictions", "predict")
        passes = [
            Passes(name, None, looked_at, looked_at, 0, looked_at * self.logits_bytes(name))
            for name in self.plan.networks
        ]
        rows = looked_at * sum(len(heads) for heads in self.heads.values())
        return Work("predict", one_each(files), rows, passes, rows * ROW_BYTES["predictions"] + len(files) * FILE_BYTES)

    def saliency(self) -> Work:
        passes, map_bytes = [], 0.0
        of_jobs = [self.plan.explained_rows(shard) for shard in self.plan.explained_shards]
        for classifier in self.study.classifiers:
            for name, options in self.methods.items():
                spent = spent_per_image(options["method"], options, self.side, self.side)
                count, size = self.explained, spent.map_cells * BYTES_PER_VALUE
                map_bytes += count * size
                stored, filled = count * (size + MAP_ROW_BYTES), filled_up(of_jobs, spent.rows_together)
                passes.append(
                    Passes(classifier, name, count, count * spent.forward, count * spent.with_backward, stored, filled)
                )
        files, rows = self.plan.maps(), sum(each.rows for each in passes)
        size = map_bytes + rows * ROW_BYTES["saliency"] + len(files) * FILE_BYTES
        return Work("saliency", one_each(files), rows, passes, size)

    def score(self) -> Work:
        """What is right of each network and task with a label; what each concept does to each classifier."""
        rows = self.images * sum(self.has_label(task) for heads in self.heads.values() for task in heads)
        for concept in self.world.concepts if self.world else ():
            for classifier in self.study.classifiers:
                classes = next(iter(self.heads[classifier].values()))
                rows += self.images * (2 + (classes if len(concept.values) == 2 else 0))
        return Work("score", [[self.plan.table("scores")]], rows, [], rows * ROW_BYTES["scores"] + FILE_BYTES)

    def score_saliency(self) -> Work:
        """For each map: truth and boxes, a crop, two areas for each in-filler; once an image, the truth itself."""
        if not self.explained:
            return Work("score_saliency", [], 0)
        methods, infills, truth = len(self.methods), len(self.study.evaluation.infills), self.world is not None
        boxes = truth or bool(self.dataset.get("boxes"))
        per_map = 4 * truth + 2 * boxes + 1 + 2 * infills
        per_classifier = self.explained * (methods * per_map + truth)
        evaluations = self.explained * (methods * (CURVE_IMAGES * infills + 1) + truth)
        passes = [Passes(name, None, per_classifier, evaluations, 0) for name in self.study.classifiers]
        rows = per_classifier * len(passes)
        size = rows * ROW_BYTES["scores"] + len(passes) * FILE_BYTES
        return Work("score_saliency", one_each(self.plan.scores()[1:]), rows, passes, size)

    def metrics(self) -> Work:
        return Work("metrics", [[self.plan.table("metrics")]], None, [], 10 * FILE_BYTES)

    def report(self) -> Work:
        return Work("report", [[self.plan.page]], None)

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """The methods of the study by name, with their options, in the order of the study."""
        methods = json.loads(self.plan.options("saliency"))["methods"]
        return {name: methods[name] for name in self.study.saliency}

    @property
    def pixels(self) -> int:
        return self.side**2

    def assumed_png_bytes_per_pixel(self) -> float:
        kind = self.dataset.get("world") or ("digits" if self.dataset.get("digits") else None)
        return PNG_BYTES_PER_PIXEL.get(kind, PHOTO_BYTES_PER_PIXEL)

    def logits_bytes(self, network: str) -> int:
        return LOGITS_ROW_BYTES + BYTES_PER_VALUE * sum(self.heads[network].values())

    def has_label(self, task: str) -> bool:
        """Whether images have a label of that task; those of a dataset that is no world are taken to have all."""
        return task in self.world.tasks if self.world else self.dataset.get("labels") != "none"

    def heads_of(self, network: str) -> dict[str, int]:
        """Number of classes by task of a network, without loading it; two where nothing tells."""
        entry = self.plan.entry(network)
        heads = dict(described_heads(entry, self.study.training.get(self.plan.networks[network].trained or "")))
        task = entry.get("task")
        if task and len(heads) > 1:
            return {task: heads.get(task, 2)}
        return heads


def filled_up(images: Iterable[int], rows_together: int) -> float:
    """Rows computed for each that counts. images: of each job; rows_together: of one image in one batch."""
    calls = [min(ROWS_AT_ONCE, count - start) for count in images for start in range(0, count, ROWS_AT_ONCE)]
    wanted = [count * rows_together for count in calls]
    return sum(ceil(rows / ROWS_AT_ONCE) * ROWS_AT_ONCE for rows in wanted) / max(1, sum(wanted))


def one_each(files: list[str]) -> list[list[str]]:
    return [[file] for file in files]


def described_heads(entry: dict[str, Any], recipe: Any) -> Iterator[tuple[str, int]]:
    """Tasks and their numbers of classes, by the entry, the header of our own format, or the recipe of training."""
    classes = entry.get("classes")
    file = Path(entry.get("file") or "")
    if isinstance(classes, dict):
        yield from ((task, len(names)) for task, names in classes.items())
    elif classes:
        yield entry.get("task") or "label", len(classes)
    elif file.is_file():
        yield from ((task, len(names)) for task, names in header(file)["heads"].items())
    elif recipe is not None:
        yield from recipe_heads(recipe)
    else:
        yield entry.get("task") or "label", 2


def recipe_heads(recipe: Any) -> Iterator[tuple[str, int]]:
    """Tasks of a network that is still to be trained."""
    world = getattr(recipe.dataset, "world", None)
    known = load_world(world).tasks if world else {}
    for task in recipe.tasks:
        yield task, len(known.get(task, ("", "")))


def header(path: Path) -> dict[str, Any]:
    """The description in a file of our own format: safetensors begins with the length of a JSON text, and the text."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(json.loads(file.read(length))["__metadata__"][KEY])
