from pipeline.section import Section
from pipeline.workflow.base import Job, Stage, Takes


class Options(Section):
    study: str
    classifiers: list[str]


def takes(job: Job) -> Takes:
    """What is right of each network and task with a label; what each concept does to each classifier."""
    plan = job.plan
    rows = sum(has_label(job, task) for heads in plan.heads.values() for task in heads)
    for concept in plan.concepts:
        for classifier in job.study.classifiers:
            classes = next(iter(plan.heads[classifier].values()))
            rows += 2 + (classes if len(concept.values) == 2 else 0)
    answers = job.rows_in("predictions/predict")
    return Takes(rows=job.images * rows, row_bytes=12, megabytes=8e-3 * answers, seconds=1e-3 * answers)


def has_label(job: Job, task: str) -> bool:
    """Whether images have a label of that task; those of a dataset that is no world are taken to have all."""
    return task in job.plan.world.tasks if job.plan.has_truth else getattr(job.study.dataset, "labels", None) != "none"


STAGE = Stage(
    says="Score every row: what is right, what an intervention changes.",
    reads=("images", "interventions", "predictions/predict"),
    writes="scores",
    options=lambda job: Options(study=job.study.study, classifiers=list(job.study.classifiers)),
    fails=False,
    takes=takes,
)
