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

from pipeline.explain.evaluations import spent_per_image
from pipeline.study import Study
from pipeline.study.networks import Training
from pipeline.worlds import load_world

WITH_NETWORK_MB, WITHOUT_MB = 4000, 1200
LARGEST_SIDE = 2048  # pixels; where images keep sizes of their own
READER_HEADS = 10  # tasks that a reader answers, at most
BY_SHARD = ("intervene", "predict", "saliency")
ALL_ROWS = 100_000  # images that training takes where the study asks for all there are

NETWORK_SIDE = 256  # pixels; networks make larger images smaller
FORWARD_BATCH, FORWARD_PIXEL_BYTES = 64, 400
BACKWARD_BATCH, BACKWARD_PIXEL_BYTES = 96, 1000
DECODED_AT_ONCE, DECODED_PIXEL_BYTES = 512, 16
SAMPLED_IMAGE_BYTES, SAMPLED_PIXEL_BYTES = 30_000, 30
INTERVENED_PIXEL_BYTES = 4
JUDGED_IMAGE_BYTES, JUDGED_PIXEL_BYTES, ANSWER_BYTES = 16_000, 4, 1000
EXPLAINED_PIXEL_BYTES = 60
SCORED_ANSWER_BYTES, SUMMARISED_SCORE_BYTES, REPORTED_ANSWER_BYTES = 8000, 3000, 5000
BOOTSTRAPPED_IMAGE_BYTES = 24  # for each bootstrap sample
TRAINING_IMAGE_BYTES, TRAINING_PIXEL_BYTES = 6000, 12

START_MINUTES, DOWNLOAD_MINUTES, TRAINING_MINUTES = 15, 60, 120
SAMPLED_PIXEL_SECONDS, INTERVENED_PIXEL_SECONDS = 2e-5, 4e-6
FORWARD_PIXEL_SECONDS, BACKWARD_PIXEL_SECONDS = 4e-6, 1e-5
ROW_SECONDS = 1e-3
BOOTSTRAPPED_SCORE_SECONDS = 1e-7  # for each bootstrap sample and method

PASSES_OF_CURVES, PASSES_OF_MAP = 24, 2  # network evaluations that score a map: by each in-filler, and once
SCORES_OF_ANSWER, SCORES_OF_MAP = 4, 12

Estimate = tuple[int, Callable[["Handled"], float]]


@dataclass(frozen=True)
class Handled:
    """What one job handles, as its study tells before anything runs.

    images: images that it reads or makes; size: their side in pixels; interventions: further images of each.
    networks: networks that judge an image; heads: the tasks that they answer, all together.
    explained: images that have maps; methods: maps of each; forward, with_backward: network evaluations for all of
    these; infills: in-fillers by which a map is scored. samples: bootstrap samples.
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
        return self.answers * SCORES_OF_ANSWER + self.explained * self.methods * self.infills * SCORES_OF_MAP


def handled(study: Study, stage: str, network: str | None = None) -> Handled:
    """What one job of a stage handles; a job of `train`, for the network of that name."""
    if stage == "train":
        return handled_by_training(study.training[network])
    dataset, methods = study.dataset, study.saliency.values()
    images = min(dataset.rows, study.shard_rows) if stage in BY_SHARD else dataset.rows
    size = dataset.size or LARGEST_SIDE
    spent = [spent_per_image(entry.method, entry.model_dump(exclude_none=True), size, size) for entry in methods]
    judging = dataset.correct if stage == "sample" else {*study.classifiers, *study.judges}
    return Handled(
        images,
        size,
        interventions=interventions_of(getattr(dataset, "world", None)),
        networks=len(judging),
        heads=len(judging) + READER_HEADS * len(study.readers),
        explained=min(images, study.explained_rows),
        methods=len(spent),
        forward=sum(each.forward for each in spent),
        with_backward=sum(each.with_backward for each in spent),
        infills=len(study.evaluation.infills),
        samples=study.statistics.bootstrap,
    )


def handled_by_training(training: Training) -> Handled:
    """What training handles: images seen, held out and tested; the passes of all steps, and of the attack on each."""
    attacks = training.attack_steps if training.epsilon else 0
    return Handled(
        (training.rows or ALL_ROWS) + training.held_out + training.tested,
        training.dataset.size or LARGEST_SIDE,
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


def score_bytes(job: Handled) -> int:
    return SCORED_ANSWER_BYTES * job.answers


def score_saliency_bytes(job: Handled) -> int:
    return EXPLAINED_PIXEL_BYTES * job.explained_pixels * job.methods + forward_batch_bytes(job)


def metrics_bytes(job: Handled) -> int:
    return SUMMARISED_SCORE_BYTES * job.scores + BOOTSTRAPPED_IMAGE_BYTES * job.images * job.samples


def report_bytes(job: Handled) -> int:
    return REPORTED_ANSWER_BYTES * job.answers + SUMMARISED_SCORE_BYTES * job.scores


# Seconds that grow with what a job handles.


def training_seconds(job: Handled) -> float:
    return BACKWARD_PIXEL_SECONDS * job.with_backward * job.image_pixels


def sample_seconds(job: Handled) -> float:
    return (SAMPLED_PIXEL_SECONDS + FORWARD_PIXEL_SECONDS * job.networks) * job.pixels


def intervene_seconds(job: Handled) -> float:
    return INTERVENED_PIXEL_SECONDS * job.judged_pixels


def predict_seconds(job: Handled) -> float:
    return FORWARD_PIXEL_SECONDS * job.networks * job.judged_pixels + ROW_SECONDS * job.answers


def saliency_seconds(job: Handled) -> float:
    of_a_pixel = FORWARD_PIXEL_SECONDS * job.forward + BACKWARD_PIXEL_SECONDS * job.with_backward
    return of_a_pixel * job.explained_pixels


def score_seconds(job: Handled) -> float:
    return ROW_SECONDS * job.answers


def score_saliency_seconds(job: Handled) -> float:
    passes_of_map = PASSES_OF_CURVES * job.infills + PASSES_OF_MAP
    return passes_of_map * job.methods * (FORWARD_PIXEL_SECONDS * job.explained_pixels + ROW_SECONDS * job.explained)


def metrics_seconds(job: Handled) -> float:
    return (ROW_SECONDS + BOOTSTRAPPED_SCORE_SECONDS * job.samples * max(1, job.methods)) * job.scores


def report_seconds(job: Handled) -> float:
    return ROW_SECONDS * (job.answers + job.scores)


MEMORY: dict[str, Estimate] = {
    "train": (WITH_NETWORK_MB, training_bytes),
    "identify": (WITHOUT_MB, nothing),
    "sample": (WITHOUT_MB, sample_bytes),
    "intervene": (WITHOUT_MB, intervene_bytes),
    "predict": (WITH_NETWORK_MB, predict_bytes),
    "saliency": (WITH_NETWORK_MB, saliency_bytes),
    "score": (WITHOUT_MB, score_bytes),
    "score_saliency": (WITH_NETWORK_MB, score_saliency_bytes),
    "metrics": (WITHOUT_MB, metrics_bytes),
    "report": (WITHOUT_MB, report_bytes),
}
"""Of each stage: megabytes whatever it handles, and the bytes that come to them."""

RUNTIME: dict[str, Estimate] = {
    "train": (TRAINING_MINUTES, training_seconds),
    "identify": (START_MINUTES, nothing),
    "sample": (DOWNLOAD_MINUTES, sample_seconds),
    "intervene": (START_MINUTES, intervene_seconds),
    "predict": (START_MINUTES, predict_seconds),
    "saliency": (START_MINUTES, saliency_seconds),
    "score": (START_MINUTES, score_seconds),
    "score_saliency": (START_MINUTES, score_saliency_seconds),
    "metrics": (START_MINUTES, metrics_seconds),
    "report": (START_MINUTES, report_seconds),
}
"""Of each stage: minutes whatever it handles, and the seconds that come to them."""
