from collections.abc import Iterator

from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes
from pipeline.worlds import WORLDS

BATCHES = 1600  # images that take as much memory as what a network has in hand


class Options(Section):
    study: str
    seed: int
    world: str | None
    networks: Entries


def options(job: Job) -> Options:
    return Options(
        study=job.study.study,
        seed=job.study.seed,
        world=getattr(job.study.dataset, "world", None),
        networks=job.plan.entries(job.networks),
    )


def takes(job: Job) -> Takes:
    """Every network on every image and intervention once; a table's row for each of its tasks."""
    seen = job.images + job.changed
    return Takes(
        rows=seen * sum(len(job.plan.heads[name]) for name in job.networks),
        row_bytes=32,
        passes=tuple(Passes(name, None, seen, seen, row_bytes=job.plan.logits_bytes(name)) for name in job.networks),
        megabytes=2e-5 * (seen + BATCHES) * job.pixels,
        seconds=4e-6 * seen * len(job.networks) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    for name in job.networks:
        yield Kept("logits", identities[name], (name,), network=name)


STAGE = Stage(
    says="Run every network on images and interventions.",
    reads=("identities", "images", "interventions"),
    writes="predictions",
    each=("shard",),
    networks=lambda job: job.plan.networks,
    options=options,
    modules=lambda job: [WORLDS[job.study.dataset.world]] if job.plan.has_truth else [],
    keeps=("logits",),
    kept=kept,
    takes=takes,
)
