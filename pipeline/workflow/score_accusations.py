from pipeline.section import Section
from pipeline.study.evaluation import Planted
from pipeline.workflow.base import Job, Stage, Takes


class Options(Section):
    study: str
    seed: int
    planted: dict[str, Planted]
    bootstrap: int
    confidence: float


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        planted=study.evaluation.planted,
        **study.statistics.model_dump(),
    )


def takes(job: Job) -> Takes:
    said = job.rows_in("accusations")
    explanations = said / max(1, job.images * len(job.plan.concepts))
    return Takes(
        rows=round(3 * explanations),
        exact=False,
        row_bytes=12,
        megabytes=3e-3 * said,
        seconds=1e-3 * explanations * job.study.statistics.bootstrap,
    )


STAGE = Stage(
    says="Score what explanations say of concepts, against the truth.",
    reads=("accusations",),
    writes="scores",
    together=("study",),
    when=lambda job: any(job.plan.jobs("accuse")),
    options=options,
    fails=False,
    takes=takes,
)
