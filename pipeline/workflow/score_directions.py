from pipeline.section import Section
from pipeline.workflow.base import Job, Stage, Takes
from pipeline.workflow.encode import followed


class Options(Section):
    study: str
    seed: int
    readers: list[str]
    bootstrap: int
    confidence: float


def options(job: Job) -> Options:
    study = job.study
    return Options(study=study.study, seed=study.seed, readers=study.readers, **study.statistics.model_dump())


def takes(job: Job) -> Takes:
    """For each direction and reader an effect on each concept, and one number of all of them."""
    plan = job.plan
    rows = len(followed(job)) * sum(1 + len(plan.heads[reader]) for reader in job.study.readers)
    return Takes(
        rows=rows,
        exact=False,
        row_bytes=12,
        megabytes=3e-3 * job.rows_in("predictions"),
        seconds=1e-5 * rows * job.study.statistics.bootstrap,
    )


STAGE = Stage(
    says="Score what each direction changes, as readers see it, beside what truly flips the classifier.",
    reads=("directions", "counterfactuals/transfer", "predictions", "scores/score"),
    writes="scores",
    each=("classifier",),
    when=lambda job: any(job.plan.jobs("transfer", classifier=job.classifier)),
    options=options,
    fails=False,
    takes=takes,
)
