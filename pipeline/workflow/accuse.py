from pipeline.section import Section
from pipeline.workflow.base import Job, Stage, Takes


class Options(Section):
    study: str
    seed: int
    classifiers: list[str]
    readers: list[str]
    files: dict[str, str]


def options(job: Job) -> Options:
    """A classifier's own file tells what went with the label when it was trained."""
    study, entries = job.study, job.plan.entries(job.study.classifiers)
    return Options(
        study=study.study,
        seed=study.seed,
        classifiers=list(study.classifiers),
        readers=study.readers,
        files={name: entry["file"] for name, entry in entries.items() if "file" in entry},
    )


def has_what_it_compares(job: Job) -> bool:
    """The truth, and explanations."""
    plan = job.plan
    return plan.has_truth and any(plan.writing(table) for table in ("saliency", "counterfactuals"))


def takes(job: Job) -> Takes:
    """For each image, concept and explanation, with its controls; of images not explained, the ceiling alone."""
    said = job.rows_in("saliency") + job.rows_in("counterfactuals")
    rows = (2 * said + 4 * job.images * len(job.study.classifiers)) * len(job.plan.concepts)
    return Takes(rows=rows, exact=False, row_bytes=16, megabytes=6e-5 * said * job.pixels, seconds=1e-3 * rows)


STAGE = Stage(
    says="Say of every concept what each explanation says of it, beside what changing it does.",
    reads=("images", "predictions", "saliency", "counterfactuals", "scores/score"),
    writes="accusations",
    when=has_what_it_compares,
    options=options,
    fails=False,
    takes=takes,
)
