from pipeline.section import Section
from pipeline.workflow.base import Job, Stage, Takes


class Options(Section):
    study: str
    seed: int
    bootstrap: int
    confidence: float


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        **study.statistics.model_dump(),
    )


def takes(job: Job) -> Takes:
    """How many rows it summarises is known, not how many groups they make."""
    scores = job.rows_in("scores")
    return Takes(megabytes=3e-3 * scores, seconds=1e-6 * (1000 + job.study.statistics.bootstrap) * scores)


STAGE = Stage(
    says="Summarise scores with intervals.",
    reads=("scores",),
    writes="metrics",
    options=options,
    fails=False,
    takes=takes,
)
