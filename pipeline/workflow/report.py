from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.workflow import stages
from pipeline.workflow.base import Job, Stage, Takes

if TYPE_CHECKING:
    from pipeline.workflow.plan import Plan


def options(job: Job) -> dict:
    """What the page shows, and the steps that lead to it."""
    there = [stage for name, stage in stages().items() if any(job.plan.jobs(name))]
    steps = [
        {
            "name": stage.name,
            "says": stage.says,
            "reads": [each.name for each in there if any(map(each.is_read_as, reads_of(job.plan, stage)))],
            "writes": stage.writes,
        }
        for stage in there
    ]
    study = job.study
    return {"study": study.study, "roles": job.plan.roles(), "steps": steps, **study.report.model_dump()}


def reads_of(plan: Plan, stage: Stage) -> set[str]:
    """What the jobs of a stage read in this study."""
    return {read for job in plan.jobs(stage.name) for read in job.reads}


def takes(job: Job) -> Takes:
    rows = job.rows_in("predictions") + job.rows_in("scores")
    return Takes(megabytes=3e-3 * rows, seconds=1e-3 * rows)


STAGE = Stage(
    says="Write the page.",
    reads=("images", "interventions", "predictions", "saliency", "counterfactuals", "scores", "metrics"),
    writes="page",
    files=lambda job: [job.plan.page],
    options=options,
    takes=takes,
)
