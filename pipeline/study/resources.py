"""How much memory and time a job may take, as pure functions of what it handles; clusters ask for both.

The figures stand on the column `peak_memory_bytes` and the times of the table `costs` (torch 2.15, two x86 cores
without a card): 12 jobs of 5 shapes of 32 px; 2000 shapes of 32 px in two shards, with 100 maps; 200 portraits of 64 px
and 300 of 128 px with five networks and three methods; a ResNet-18 trained on 64 px. Memory was rounded up by a half or
more, to which come two Snakemakes of 170 MB that run beside a stage on a node. What a process takes for a CUDA context
was not measured: WITH_NETWORK_MB leaves 2 GB for it. Times were rounded up five times or more, since cores differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from pipeline.methods.base import Count
from pipeline.study import Study
from pipeline.study.targets import targets_of_image
from pipeline.study.trained import TRAINED_BY
from pipeline.study.training import ImageTraining, Training
from pipeline.worlds import load_world

WITH_NETWORK_MB, WITHOUT_MB = 4000, 1200
LARGEST_SIDE = 2048  # pixels; where images keep sizes of their own
READER_HEADS = 10  # tasks that a reader answers, at most
BY_SHARD = ("intervene", "predict", "saliency", "counterfactuals", "judge")
ON_COUNTERFACTUALS = ("counterfactuals", "judge", "score_counterfactuals")
ALL_ROWS = 100_000  # images that training takes where the study asks for all there are

NETWORK_SIDE = 256  # pixels; networks make larger images smaller
FORWARD_BATCH, FORWARD_PIXEL_BYTES = 64, 400
BACKWARD_BATCH, BACKWARD_PIXEL_BYTES = 96, 1000
DENOISING_BATCH, DENOISING_PIXEL_BYTES = 64, 6000
DECODED_AT_ONCE, DECODED_PIXEL_BYTES = 512, 16
SAMPLED_IMAGE_BYTES, SAMPLED_PIXEL_BYTES = 30_000, 30
INTERVENED_PIXEL_BYTES = 4
JUDGED_IMAGE_BYTES, JUDGED_PIXEL_BYTES, ANSWER_BYTES = 16_000, 4, 1000
EXPLAINED_PIXEL_BYTES = 60
MADE_BATCH, MADE_PIXEL_BYTES = 24, 8_000
MADE_SIDE = 96  # pixels; larger images are made on a card, with memory of its own
SCORED_ANSWER_BYTES, SUMMARISED_SCORE_BYTES, REPORTED_ANSWER_BYTES = 8000, 3000, 5000
BOOTSTRAPPED_IMAGE_BYTES = 24  # for each bootstrap sample
TRAINING_IMAGE_BYTES, TRAINING_PIXEL_BYTES = 6000, 12

START_MINUTES, DOWNLOAD_MINUTES, TRAINING_MINUTES = 15, 60, 120
SAMPLED_PIXEL_SECONDS, INTERVENED_PIXEL_SECONDS = 2e-5, 4e-6
FORWARD_PIXEL_SECONDS, BACKWARD_PIXEL_SECONDS = 4e-6, 1e-5
GENERATED_PIXEL_SECONDS, DIFFERENTIATED_PIXEL_SECONDS = 2e-5, 6e-5
COMPARED_IMAGE_SECONDS = 0.02
ROW_SECONDS = 1e-3
BOOTSTRAPPED_SCORE_SECONDS = 1e-7  # for each bootstrap sample and method

PASSES_OF_CURVES, PASSES_OF_MAP = 24, 2  # network evaluations that score a map: by each in-filler, and once
SCORES_OF_ANSWER, SCORES_OF_MAP, SCORES_OF_COUNTERFACTUAL = 4, 40, 60
PASSES_OF_COUNTERFACTUAL = 60  # that score it: pixel by pixel, and by the networks that measure
SCORED_AT_ONCE, SCORED_PIXEL_BYTES = 256, 60

Estimate = tuple[int, Callable[["Handled"], float]]


@dataclass(frozen=True)
class Handled:
    """What one job handles, as its study tells before anything runs.

    images: images that it reads or makes; size: their side in pixels; interventions: further images of each.
    networks: networks that judge an image; heads: the tasks that they answer, all together.
    explained: images that are explained; methods: maps, or counterfactuals, of each; forward, with_backward: network
    evaluations for all of these; infills: in-fillers by which a map is scored. samples: bootstrap samples.
    counterfactuals: of all classifiers, of each image that is explained, with their controls.
    """

    images: int
    size: int
    interventions: int = 0
    networks: int = 0
    heads: int = 0
    explained: int = 0
    methods: int = 0
    forward: int = 0
    with_backward: int = 0
    infills: int = 0
    samples: int = 0
    counterfactuals: int = 0

    @property
    def image_pixels(self) -> int:
        return self.size**2

    @property
    def pixels(self) -> int:
        """Of all images, without interventions."""
        return self.images * self.image_pixels

    @property
    def explained_pixels(self) -> int:
        return self.explained * self.image_pixels

    @property
    def judged(self) -> int:
        """Images and interventions."""
        return self.images * (1 + self.interventions)

    @property
    def judged_pixels(self) -> int:
        return self.judged * self.image_pixels

    @property
    def answers(self) -> int:
        """Rows of predictions."""
        return self.judged * self.heads

    @property
    def scores(self) -> int:
        """Rows of scores, at most."""
        of_maps = self.explained * self.methods * self.infills * SCORES_OF_MAP
        of_counterfactuals = self.explained * self.counterfactuals * SCORES_OF_COUNTERFACTUAL
        return self.answers * SCORES_OF_ANSWER + of_maps + of_counterfactuals

    @property
    def made(self) -> int:
        """Counterfactuals of all classifiers."""
        return self.explained * self.counterfactuals


def handled(study: Study, stage: str, network: str | None = None) -> Handled:
    """What one job of a stage handles; one that follows a recipe of `training`, for that of that name."""
    if stage in TRAINED_BY:
        return handled_by_training(study.training[network], stage)
    dataset, methods = study.dataset, study.saliency.values()
    images = min(dataset.rows, study.shard_rows) if stage in BY_SHARD else dataset.rows
    size = dataset.size or LARGEST_SIDE
    of_all, of_each = spent_on_counterfactuals(study)
    if stage in ON_COUNTERFACTUALS:
        spent, made = of_all, of_each
    else:
        spent = [method.spends(size, size) for method in methods]
        made = len(spent)
    judging = dataset.correct if stage == "sample" else {*study.classifiers, *study.judges}
    return Handled(
        images,
        size,
        interventions=interventions_of(getattr(dataset, "world", None)),
        networks=len(judging),
        heads=len(judging) + READER_HEADS * len(study.readers),
        explained=min(images, study.explained_rows),
        methods=made,
        forward=sum(each.forward for each in spent),
        with_backward=sum(each.with_backward for each in spent),
        infills=len(study.evaluation.infills),
        samples=study.statistics.bootstrap,
        counterfactuals=(of_each + 2) * len(study.classifiers) if of_each else 0,
    )


def spent_on_counterfactuals(study: Study) -> tuple[list[Count], int]:
    """The passes, through any network, of all counterfactuals of an image; and how many these are."""
    spent, made = [], 0
    for name, method in study.counterfactuals.items():
        each = method.samples * targets_of_image(name, method)
        counts = method.spends().values()
        spent += [Count(each * count.forward, each * (count.with_backward + count.again)) for count in counts]
        made += each
    return spent, made


def handled_by_training(training: Training | ImageTraining, stage: str) -> Handled:
    """What training handles: images seen, held out and tested; the passes of all steps, and of the attack on each."""
    side = training.dataset.size or LARGEST_SIDE
    if stage == "gate":
        drawn = training.gate.samples
        return Handled((training.rows or ALL_ROWS) + 2 * drawn, side, forward=drawn * training.gate.steps)
    if stage in ("train_generator", "train_guide", "train_infill"):
        images = (training.rows or ALL_ROWS) + getattr(training, "tested", 0)
        return Handled(images, side, with_backward=training.steps * training.batch_size)
    attacks = training.attack_steps if training.epsilon else 0
    return Handled(
        (training.rows or ALL_ROWS) + training.held_out + training.tested,
        side,
        with_backward=training.steps * training.batch_size * (1 + attacks),
    )


def interventions_of(world: str | None) -> int:
    """How many interventions an image of a world has: one for each value of a concept that is not its own."""
    return sum(len(concept.values) - 1 for concept in load_world(world).concepts) if world else 0


def memory_mb(stage: str, job: Handled) -> int:
    """Memory of a job in megabytes, in full hundreds. Raises ValueError for a stage without an estimate."""
    fixed, growing = estimate_of(stage, MEMORY)
    return ceil((fixed + growing(job) / 2**20) / 100) * 100


def runtime_minutes(stage: str, job: Handled) -> int:
    """Longest time of a job in minutes; one that is cut off loses the batch in hand and goes on in the next attempt.

    Raises ValueError for a stage without an estimate.
    """
    fixed, growing = estimate_of(stage, RUNTIME)
    return ceil(fixed + growing(job) / 60)


def estimate_of(stage: str, estimates: dict[str, Estimate]) -> Estimate:
    if stage not in estimates:
        raise ValueError(f"there is no estimate for the stage {stage!r}; add it to MEMORY and RUNTIME in {__name__}")
    return estimates[stage]


# Bytes that grow with what a job handles.


def nothing(job: Handled) -> int:
    return 0


def forward_batch_bytes(job: Handled) -> int:
    return FORWARD_BATCH * FORWARD_PIXEL_BYTES * min(job.size, NETWORK_SIDE) ** 2


def backward_batch_bytes(job: Handled) -> int:
    return BACKWARD_BATCH * BACKWARD_PIXEL_BYTES * min(job.size, NETWORK_SIDE) ** 2


def training_bytes(job: Handled) -> int:
    return TRAINING_IMAGE_BYTES * job.images + TRAINING_PIXEL_BYTES * job.pixels + backward_batch_bytes(job)


def diffusion_training_bytes(job: Handled) -> int:
    return TRAINING_PIXEL_BYTES * job.pixels + TRAINING_IMAGE_BYTES * job.images + denoising_batch_bytes(job)


def denoising_batch_bytes(job: Handled) -> int:
    return DENOISING_BATCH * DENOISING_PIXEL_BYTES * job.image_pixels


def sample_bytes(job: Handled) -> int:
    """Sampling runs networks only where classifiers must be right about the images."""
    networks = (WITH_NETWORK_MB - WITHOUT_MB) * 2**20 + forward_batch_bytes(job) if job.networks else 0
    return SAMPLED_IMAGE_BYTES * job.images + SAMPLED_PIXEL_BYTES * job.pixels + networks


def intervene_bytes(job: Handled) -> int:
    return INTERVENED_PIXEL_BYTES * job.judged_pixels


def predict_bytes(job: Handled) -> int:
    read = JUDGED_IMAGE_BYTES * job.judged + JUDGED_PIXEL_BYTES * job.judged_pixels
    decoded = DECODED_PIXEL_BYTES * min(job.judged, DECODED_AT_ONCE) * job.image_pixels
    return read + decoded + ANSWER_BYTES * job.answers + forward_batch_bytes(job)


def saliency_bytes(job: Handled) -> int:
    return EXPLAINED_PIXEL_BYTES * job.explained_pixels + backward_batch_bytes(job)


def counterfactuals_bytes(job: Handled) -> int:
    batch = MADE_BATCH * MADE_PIXEL_BYTES * min(job.size, MADE_SIDE) ** 2
    return EXPLAINED_PIXEL_BYTES * job.explained_pixels * max(1, job.methods) + batch


def score_bytes(job: Handled) -> int:
    return SCORED_ANSWER_BYTES * job.answers


def score_saliency_bytes(job: Handled) -> int:
    return EXPLAINED_PIXEL_BYTES * job.explained_pixels * job.methods + forward_batch_bytes(job)


def judge_bytes(job: Handled) -> int:
    read = JUDGED_IMAGE_BYTES * job.made + JUDGED_PIXEL_BYTES * job.made * job.image_pixels
    decoded = DECODED_PIXEL_BYTES * min(job.made, DECODED_AT_ONCE) * job.image_pixels
    return read + decoded + ANSWER_BYTES * job.made * job.heads + forward_batch_bytes(job)


def score_counterfactuals_bytes(job: Handled) -> int:
    pictures = SCORED_PIXEL_BYTES * min(SCORED_AT_ONCE, job.explained * (job.methods + 2)) * job.image_pixels
    rows = SUMMARISED_SCORE_BYTES * SCORES_OF_COUNTERFACTUAL * job.explained * (job.methods + 2)
    return pictures + rows + SCORED_ANSWER_BYTES * job.answers + forward_batch_bytes(job)


def metrics_bytes(job: Handled) -> int:
    return SUMMARISED_SCORE_BYTES * job.scores + BOOTSTRAPPED_IMAGE_BYTES * job.images * job.samples


def report_bytes(job: Handled) -> int:
    return REPORTED_ANSWER_BYTES * job.answers + SUMMARISED_SCORE_BYTES * job.scores


# Seconds that grow with what a job handles.


def training_seconds(job: Handled) -> float:
    return BACKWARD_PIXEL_SECONDS * job.with_backward * job.image_pixels


def diffusion_training_seconds(job: Handled) -> float:
    return DIFFERENTIATED_PIXEL_SECONDS * job.with_backward * job.image_pixels


def gate_seconds(job: Handled) -> float:
    return GENERATED_PIXEL_SECONDS * job.forward * job.image_pixels + COMPARED_IMAGE_SECONDS * job.images


def sample_seconds(job: Handled) -> float:
    return (SAMPLED_PIXEL_SECONDS + FORWARD_PIXEL_SECONDS * job.networks) * job.pixels


def intervene_seconds(job: Handled) -> float:
    return INTERVENED_PIXEL_SECONDS * job.judged_pixels


def predict_seconds(job: Handled) -> float:
    return FORWARD_PIXEL_SECONDS * job.networks * job.judged_pixels + ROW_SECONDS * job.answers


def saliency_seconds(job: Handled) -> float:
    of_a_pixel = FORWARD_PIXEL_SECONDS * job.forward + BACKWARD_PIXEL_SECONDS * job.with_backward
    return of_a_pixel * job.explained_pixels


def counterfactuals_seconds(job: Handled) -> float:
    of_a_pixel = GENERATED_PIXEL_SECONDS * job.forward + DIFFERENTIATED_PIXEL_SECONDS * job.with_backward
    return of_a_pixel * job.explained_pixels


def score_seconds(job: Handled) -> float:
    return ROW_SECONDS * job.answers


def score_saliency_seconds(job: Handled) -> float:
    passes_of_map = PASSES_OF_CURVES * job.infills + PASSES_OF_MAP
    of_all = FORWARD_PIXEL_SECONDS * job.explained_pixels + ROW_SECONDS * job.explained
    return passes_of_map * (job.methods + 2) * of_all


def judge_seconds(job: Handled) -> float:
    return FORWARD_PIXEL_SECONDS * job.networks * job.made * job.image_pixels + ROW_SECONDS * job.made * job.heads


def score_counterfactuals_seconds(job: Handled) -> float:
    scored = job.explained * (job.methods + 2)
    passes = FORWARD_PIXEL_SECONDS * PASSES_OF_COUNTERFACTUAL * scored * job.image_pixels
    return passes + ROW_SECONDS * (SCORES_OF_COUNTERFACTUAL * scored + job.answers)


def metrics_seconds(job: Handled) -> float:
    return (ROW_SECONDS + BOOTSTRAPPED_SCORE_SECONDS * job.samples * max(1, job.methods)) * job.scores


def report_seconds(job: Handled) -> float:
    return ROW_SECONDS * (job.answers + job.scores)


MEMORY: dict[str, Estimate] = {
    "train": (WITH_NETWORK_MB, training_bytes),
    "train_generator": (WITH_NETWORK_MB, diffusion_training_bytes),
    "train_guide": (WITH_NETWORK_MB, diffusion_training_bytes),
    "train_infill": (WITH_NETWORK_MB, diffusion_training_bytes),
    "gate": (WITH_NETWORK_MB, diffusion_training_bytes),
    "identify": (WITH_NETWORK_MB, nothing),
    "sample": (WITHOUT_MB, sample_bytes),
    "intervene": (WITHOUT_MB, intervene_bytes),
    "predict": (WITH_NETWORK_MB, predict_bytes),
    "saliency": (WITH_NETWORK_MB, saliency_bytes),
    "counterfactuals": (WITH_NETWORK_MB, counterfactuals_bytes),
    "score": (WITHOUT_MB, score_bytes),
    "score_saliency": (WITH_NETWORK_MB, score_saliency_bytes),
    "judge": (WITH_NETWORK_MB, judge_bytes),
    "score_counterfactuals": (WITH_NETWORK_MB, score_counterfactuals_bytes),
    "metrics": (WITHOUT_MB, metrics_bytes),
    "report": (WITHOUT_MB, report_bytes),
}
"""Of each stage: megabytes whatever it handles, and the bytes that come to them."""

RUNTIME: dict[str, Estimate] = {
    "train": (TRAINING_MINUTES, training_seconds),
    "train_generator": (TRAINING_MINUTES, diffusion_training_seconds),
    "train_guide": (TRAINING_MINUTES, diffusion_training_seconds),
    "train_infill": (TRAINING_MINUTES, diffusion_training_seconds),
    "gate": (TRAINING_MINUTES, gate_seconds),
    "identify": (START_MINUTES, nothing),
    "sample": (DOWNLOAD_MINUTES, sample_seconds),
    "intervene": (START_MINUTES, intervene_seconds),
    "predict": (START_MINUTES, predict_seconds),
    "saliency": (START_MINUTES, saliency_seconds),
    "counterfactuals": (START_MINUTES, counterfactuals_seconds),
    "score": (START_MINUTES, score_seconds),
    "score_saliency": (START_MINUTES, score_saliency_seconds),
    "judge": (START_MINUTES, judge_seconds),
    "score_counterfactuals": (START_MINUTES, score_counterfactuals_seconds),
    "metrics": (START_MINUTES, metrics_seconds),
    "report": (START_MINUTES, report_seconds),
}
"""Of each stage: minutes whatever it handles, and the seconds that come to them."""
