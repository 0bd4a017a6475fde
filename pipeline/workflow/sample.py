from pipeline.errors import UserError
from pipeline.section import Section
from pipeline.study.datasets import Dataset
from pipeline.workflow.base import Entries, Job, Passes, Stage, Takes
from pipeline.worlds import WORLDS

MASK_BYTES = 0.3  # of a pixel, of all parts together


class Options(Section):
    study: str
    seed: int
    dataset: Dataset
    shard_rows: int
    networks: Entries


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        dataset=study.dataset,
        shard_rows=study.shard_rows,
        networks=job.plan.entries(job.networks),
    )


def modules(job: Job) -> list[str]:
    dataset = job.study.dataset
    return [dataset.read.split(":")[0], *([WORLDS[dataset.world]] if job.plan.has_truth else [])]


def sizes_of_files(job: Job) -> str:
    """What is known of the dataset's files beforehand; nothing where they are gone, which a run will say."""
    try:
        return job.plan.sizes(job.plan.dataset_files())
    except UserError:
        return ""


def takes(job: Job) -> Takes:
    """Where networks must be right, each looks at every image taken; how many it refuses is not known before."""
    masks = MASK_BYTES * job.pixels if job.plan.has_truth else 0
    return Takes(
        rows=job.images,
        row_bytes=190 + job.plan.png_bytes + masks,
        passes=tuple(Passes(name, None, job.images, job.images) for name in job.networks),
        megabytes=5e-5 * job.images * job.pixels,
        seconds=2e-5 * job.images * job.pixels * (1 + len(job.networks)),
    )


STAGE = Stage(
    says="Take the images of the study from its dataset.",
    reads=("identities",),
    writes="images",
    together=("shard",),
    networks=lambda job: job.study.dataset.correct,
    options=options,
    modules=modules,
    given=lambda job: {"files": sizes_of_files(job)},
    minutes=60,  # it may download
    takes=takes,
)
