from pipeline.section import Section
from pipeline.workflow.base import Job, Stage, Takes
from pipeline.worlds import WORLDS


class Options(Section):
    study: str
    world: str | None
    size: int | None


def options(job: Job) -> Options:
    dataset = job.study.dataset
    return Options(
        study=job.study.study,
        world=getattr(dataset, "world", None),
        size=getattr(dataset, "size", None),
    )


STAGE = Stage(
    says="Render every image again with one concept changed: the truth.",
    reads=("images",),
    writes="interventions",
    each=("shard",),
    when=lambda job: job.plan.has_truth,
    options=options,
    modules=lambda job: [WORLDS[job.study.dataset.world]] if job.plan.has_truth else [],
    takes=lambda job: Takes(
        rows=job.changed,
        row_bytes=65 + job.plan.png_bytes,
        megabytes=4e-6 * job.changed * job.pixels,
        seconds=4e-6 * job.changed * job.pixels,
    ),
)
