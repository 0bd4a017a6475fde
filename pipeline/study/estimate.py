"""What a study will take, counted from the study alone: jobs, rows, network evaluations, bytes.

Counts of jobs, rows and evaluations are exact where images, labels and classes are known beforehand, as in the worlds;
else they are what there will be if every image is whole and labelled. Bytes are estimates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

from pipeline.methods.base import Count
from pipeline.study.heads import classes_of
from pipeline.study.plan import Plan
from pipeline.study.targets import pairs_of, targets_of_image
from pipeline.study.trained import trained_by, trained_generator_file, trained_infill_file
from pipeline.worlds import World, load_world

SIDE = 224  # pixels; taken for a dataset that leaves every image as it is
ROWS_AT_ONCE = 96  # of the stage `saliency`: images that are explained together, and rows of a batch
MADE_AT_ONCE = 24  # of the stage `counterfactuals`: rows of a batch
CURVE_IMAGES = 24  # of `flipping_curves`: eleven shares removed, eleven kept, none and all
SLICES = 50  # of `transitions`: pixels are replaced in so many steps, and a remainder in one more
SCORES_OF_COUNTERFACTUAL = 60  # at most, beside its controls

# Bytes of a row, measured on tables of 64 pixel images; files have a footer each.
FILE_BYTES = 6000
ROW_BYTES = {
    "images": 190,
    "interventions": 65,
    "predictions": 32,
    "saliency": 60,
    "counterfactuals": 150,
    "scores": 12,
}
LOGITS_ROW_BYTES = 50
MAP_ROW_BYTES = 100
MADE_ROW_BYTES = 200
BYTES_PER_VALUE = 4
PNG_BYTES_PER_PIXEL = {"portraits": 1.25, "shapes": 0.15, "digits": 0.5}
PHOTO_BYTES_PER_PIXEL = 2.0  # PNG of photographs: two thirds of what three bytes per pixel take
MASK_BYTES_PER_PIXEL = 0.3  # of all parts together


@dataclass(frozen=True)
class Passes:
    """The passes of one network in one stage, under one method: forward alone, and forward with backward.

    rows: those that are kept under that network and method. store_bytes: what the row store keeps of them. filled: rows
    that are computed for each pass that counts, 1 or more, since short batches are padded. again: further backward
    passes over a forward pass that counts. beside: the network that is explained, where this one only takes part in
    that; rows are counted there. within: the network in whose measured passes the time of these is.
    """

    network: str
    method: str | None
    rows: int
    forward: int
    with_backward: int
    store_bytes: float = 0.0
    filled: float = 1.0
    again: int = 0
    beside: str | None = None
    within: str | None = None

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
        self.explained = sum(plan.explained_rows(shard) for shard in plan.shards)
        self.explained = min(self.explained, self.images)
        self.world: World | None = load_world(self.dataset["world"]) if plan.has_truth else None
        self.heads = {name: self.heads_of(name) for name in plan.networks}
        self.png_bytes_per_pixel = png_bytes_per_pixel or self.assumed_png_bytes_per_pixel()

    def work(self) -> list[Work]:
        """The stages of the study in the order in which they run."""
        stages = [self.train(), self.train_generator(), self.train_guide(), self.train_infill()]
        stages += [self.identify(), self.sample()]
        stages += [self.intervene(), self.predict(), self.saliency(), self.counterfactuals(), self.judge()]
        stages += [self.score(), self.score_saliency(), self.score_counterfactuals(), self.metrics(), self.report()]
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

    def train_generator(self) -> Work:
        return self.diffusion_training("train_generator")

    def train_guide(self) -> Work:
        return self.diffusion_training("train_guide")

    def diffusion_training(self, stage: str) -> Work:
        """Generators that are named in the study and missing."""
        named = dict.fromkeys(generator.trained for generator in self.plan.generators.values() if generator.trained)
        passes, outputs = [], []
        for name in [name for name in named if name in trained_by(self.study, stage)]:
            if not Path(trained_generator_file(name)).exists():
                recipe = self.study.training[name]
                passes.append(Passes(name, None, 0, 0, recipe.steps * recipe.batch_size))
                outputs.append([trained_generator_file(name)])
        return Work(stage, outputs, None, passes)

    def train_infill(self) -> Work:
        """In-fillers that are named in the study and missing."""
        named = dict.fromkeys(filler.trained for filler in self.plan.fillers.values() if filler.trained)
        missing = [name for name in named if not Path(trained_infill_file(name)).exists()]
        recipes = {name: self.study.training[name] for name in missing}
        passes = [Passes(name, None, 0, 0, recipe.steps * recipe.batch_size) for name, recipe in recipes.items()]
        return Work("train_infill", [[trained_infill_file(name)] for name in missing], None, passes)

    def identify(self) -> Work:
        return Work("identify", [[self.plan.identity(name) for name in self.plan.identified]], None)

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
            for name in self.plan.methods("saliency", classifier):
                spent = self.study.saliency[name].spends(self.side, self.side)
                count, size = self.explained, spent.map_cells * BYTES_PER_VALUE
                map_bytes += count * size
                stored, filled = count * (size + MAP_ROW_BYTES), filled_up(of_jobs, spent.rows_together)
                passes.append(
                    Passes(classifier, name, count, count * spent.forward, count * spent.with_backward, stored, filled)
                )
        files, rows = self.plan.maps(), sum(each.rows for each in passes)
        size = map_bytes + rows * ROW_BYTES["saliency"] + len(files) * FILE_BYTES
        return Work("saliency", one_each(files), rows, passes, size)

    def counterfactuals(self) -> Work:
        """For each image, target and sample what the method takes, and a pass that judges the image as it is stored."""
        passes, of_jobs = [], [self.plan.explained_rows(shard) for shard in self.plan.explained_shards]
        for classifier in self.study.classifiers:
            for name in self.plan.methods("counterfactuals", classifier):
                passes += self.passes_of(classifier, name, of_jobs)
        files, rows = self.plan.counterfactuals(), sum(each.rows for each in passes)
        size = rows * (ROW_BYTES["counterfactuals"] + self.pixels * self.png_bytes_per_pixel) + len(files) * FILE_BYTES
        return Work("counterfactuals", one_each(files), rows, passes, size)

    def passes_of(self, classifier: str, name: str, of_jobs: list[int]) -> Iterator[Passes]:
        """The passes by which a method makes the counterfactuals of a classifier. of_jobs: images of each job."""
        method = self.study.counterfactuals[name]
        images = min(self.explained, method.rows or self.explained)
        limits = [images - self.plan.rows_before(shard) for shard in self.plan.explained_shards]
        of_jobs = [max(0, min(count, limit)) for count, limit in zip(of_jobs, limits, strict=True)]
        each = method.samples * targets_of_image(name, method)
        rows, filled = images * each, filled_up(of_jobs, each, MADE_AT_ONCE)
        stored = rows * (MADE_ROW_BYTES + self.pixels * self.png_bytes_per_pixel)
        counts, parts = method.spends(), method.parts()
        own = counts.pop("classifier", Count())
        forward, backward = rows * (own.forward + 1), rows * own.with_backward
        made_by = parts.get("generator")
        yield Passes(classifier, name, rows, forward, backward, stored, filled, within=made_by)
        for role, count in counts.items():
            network, within = parts[role], None if role == "generator" else made_by
            taken = (rows * number for number in (count.forward, count.with_backward))
            yield Passes(network, name, 0, *taken, 0.0, filled, rows * count.again, classifier, within)

    def judge(self) -> Work:
        """Every judge on the counterfactuals of those whose task it knows; a table's row for each of its tasks."""
        passes, rows = [], 0
        for judge in self.plan.judges:
            looked_at = sum(made for name, made in self.made().items() if self.judges(judge, name))
            if looked_at:
                passes.append(Passes(judge, None, looked_at, looked_at, 0, looked_at * self.logits_bytes(judge)))
                rows += looked_at * len(self.heads[judge])
        files = self.plan.judged()
        return Work("judge", one_each(files), rows, passes, rows * ROW_BYTES["predictions"] + len(files) * FILE_BYTES)

    def judges(self, judge: str, classifier: str) -> bool:
        """Whether a network judges the counterfactuals of a classifier: as a reader, or by the same task."""
        (task, classes), *_ = self.heads[classifier].items()
        same = self.heads[judge].get(task) == classes and judge in (*self.study.oracles, *self.study.classifiers)
        return judge != classifier and (judge in self.study.readers or same)

    def made(self) -> dict[str, int]:
        """How many counterfactuals of each classifier are made."""
        found: dict[str, int] = {}
        for each in self.counterfactuals().passes:
            if each.beside is None:
                found[each.network] = found.get(each.network, 0) + each.rows
        return found

    def score(self) -> Work:
        """What is right of each network and task with a label; what each concept does to each classifier."""
        rows = self.images * sum(self.has_label(task) for heads in self.heads.values() for task in heads)
        for concept in self.world.concepts if self.world else ():
            for classifier in self.study.classifiers:
                classes = next(iter(self.heads[classifier].values()))
                rows += self.images * (2 + (classes if len(concept.values) == 2 else 0))
        return Work("score", [[self.plan.table("scores")]], rows, [], rows * ROW_BYTES["scores"] + FILE_BYTES)

    def score_saliency(self) -> Work:
        """For each map: truth, parts and boxes, a crop, two areas per in-filler; once an image, the truth filled in.

        Two control maps of each image are scored like a method's; another image's map in the place of each, and the
        truth itself, without the network.
        """
        infills, truth = len(self.study.evaluation.infills), self.world is not None
        boxes = truth or bool(self.dataset.get("boxes"))
        parts = len(self.world.concepts) if self.world else 0
        alone = 5 * truth + parts + 2 * boxes
        per_map = alone + 1 + 2 * infills
        passes = []
        for name in self.study.classifiers:
            methods = len(self.plan.methods("saliency", name))
            if methods:
                others = methods * (self.explained > 1) + truth
                rows = self.explained * ((methods + 2) * per_map + others * alone + truth)
                evaluations = self.explained * ((methods + 2) * (CURVE_IMAGES * infills + 1) + 2 * truth)
                passes.append(Passes(name, None, rows, evaluations, 0))
        rows = sum(each.rows for each in passes)
        size = rows * ROW_BYTES["scores"] + len(passes) * FILE_BYTES
        return Work("score_saliency", one_each(self.plan.scores_of("score_saliency")), rows, passes, size)

    def score_counterfactuals(self) -> Work:
        """The passes that replace pixel by pixel, of the counterfactuals and of both controls of each image and target.

        How many scores come of it is not told: some measures have nothing to say of some rows.
        """
        passes = []
        slices = ceil(self.pixels / max(1, self.pixels // SLICES)) + 1
        for name, made in self.made().items():
            passes.append(Passes(name, None, made, (made + self.controls(name)) * slices, 0))
        size = sum(each.rows * SCORES_OF_COUNTERFACTUAL * ROW_BYTES["scores"] + FILE_BYTES for each in passes)
        files = self.plan.scores_of("score_counterfactuals")
        return Work("score_counterfactuals", one_each(files), None, passes, size)

    def controls(self, classifier: str) -> int:
        """Controls of a classifier: two of each image and target, as far as methods ask for the same ones."""
        methods = {name: self.study.counterfactuals[name] for name in self.plan.methods("counterfactuals", classifier)}
        asked: dict[str, int] = {}
        for name, method in methods.items():
            pairs = min(self.explained, method.rows or self.explained) * targets_of_image(name, method)
            key = str(pairs_of(name, method))
            asked[key] = max(asked.get(key, 0), pairs)
        return 2 * sum(asked.values())

    def metrics(self) -> Work:
        return Work("metrics", [[self.plan.table("metrics")]], None, [], 10 * FILE_BYTES)

    def report(self) -> Work:
        return Work("report", [[self.plan.page]], None)

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
        heads = classes_of(self.plan, network) or {self.plan.entry(network).get("task") or "label": None}
        return {task: len(names) if names else 2 for task, names in heads.items()}


def filled_up(images: Iterable[int], rows_together: int, at_once: int = ROWS_AT_ONCE) -> float:
    """Rows computed for each that counts. images: of each job; rows_together: of one image in one batch."""
    calls = [min(at_once, count - start) for count in images for start in range(0, count, at_once)]
    wanted = [count * rows_together for count in calls]
    return sum(ceil(rows / at_once) * at_once for rows in wanted) / max(1, sum(wanted))


def one_each(files: list[str]) -> list[list[str]]:
    return [[file] for file in files]
