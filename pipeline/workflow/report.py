from pipeline.workflow import stages
from pipeline.workflow.base import Job, Stage, Takes


def options(job: Job) -> dict:
    """What the page shows, and the steps that lead to it."""
    there = [stage for name, stage in stages().items() if any(job.plan.jobs(name))]
    steps = [
        {
            "name": stage.name,
            "says": stage.says,
            "reads": [each.name for each in there if any(map(each.is_read_as, stage.reads))],
            "writes": stage.writes,
        }
        for stage in there
    ]
    study = job.study
    return {"study": study.study, "roles": job.plan.roles(), "steps": steps, **study.report.model_dump()}


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
