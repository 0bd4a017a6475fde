from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.section import Section
from pipeline.workflow import stages
from pipeline.workflow.base import Job, Roles, Stage, Takes

if TYPE_CHECKING:
    from pipeline.workflow.plan import Plan


class Step(Section):
    """What the page says of a stage: the stages before and the table that it writes."""

    name: str
    says: str
    reads: list[str]
    writes: str


class Options(Section):
    """What the page shows, and the steps that lead to it."""

    study: str
    roles: Roles
    steps: list[Step]
    title: str | None
    examples: int
    order: str


def options(job: Job) -> Options:
    there = [stage for name, stage in stages().items() if any(job.plan.jobs(name))]
    steps = [
        Step(
            name=stage.name,
            says=stage.says,
            reads=[each.name for each in there if any(map(each.is_read_as, reads_of(job.plan, stage)))],
            writes=stage.writes,
        )
        for stage in there
    ]
    study = job.study
    return Options(study=study.study, roles=job.plan.roles(), steps=steps, **study.report.model_dump())


def reads_of(plan: Plan, stage: Stage) -> set[str]:
    """What the jobs of a stage read in this study."""
    return {read for job in plan.jobs(stage.name) for read in job.reads}


def takes(job: Job) -> Takes:
    rows = job.rows_in("predictions") + job.rows_in("scores")
    return Takes(megabytes=3e-3 * rows, seconds=1e-3 * rows)


STAGE = Stage(
    says="Write the page.",
    reads=("images", "interventions", "predictions", "saliency", "counterfactuals", "directions", "scores", "metrics"),
    writes="page",
    files=lambda job: [job.plan.page],
    options=options,
    takes=takes,
)
