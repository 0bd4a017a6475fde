from pipeline.workflow.base import Job, Stage, Takes


def takes(job: Job) -> Takes:
    rows = job.rows_in("predictions") + job.rows_in("scores")
    return Takes(megabytes=3e-3 * rows, seconds=1e-3 * rows)


STAGE = Stage(
    says="Write the page.",
    reads=("images", "interventions", "predictions", "saliency", "counterfactuals", "scores", "metrics"),
    writes="page",
    files=lambda job: [job.plan.page],
    options=lambda job: {"study": job.study.study, "roles": job.plan.roles(), **job.study.report.model_dump()},
    takes=takes,
)
