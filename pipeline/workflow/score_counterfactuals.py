from math import ceil
from typing import Any

from pipeline.metrics.functions import modules
from pipeline.section import Section
from pipeline.study.targets import pairs_of, relations, targets_of_image
from pipeline.workflow.base import Entries, Job, Passes, Roles, Stage, Takes
from pipeline.workflow.trained import measuring_names

SLICES = 50  # of `transitions`: pixels are replaced in so many steps, and a remainder in one more
SCORES = 60  # of a counterfactual, at most: some measures have nothing to say of some
ANSWERS = 30  # as many take the memory that the scores of one take


class Options(Section):
    study: str
    seed: int
    networks: Entries
    roles: Roles
    explained_class: str
    measuring: dict[str, dict[str, Any] | None]
    relations: dict[str, list[tuple[str, str, str]]]
    bootstrap: int
    confidence: float


def options(job: Job) -> Options:
    study, plan = job.study, job.plan
    return Options(
        study=study.study,
        seed=study.seed,
        networks=plan.entries(study.classifiers),
        roles=plan.roles(),
        explained_class=study.explained_class,
        measuring={
            role: {"name": name, **plan.measuring[name]} if name in plan.measuring else None
            for role, name in measuring_names(study).items()
        },
        relations=relations(study.counterfactuals.values()),
        **study.statistics.model_dump(),
    )


def controls(job: Job) -> int:
    """Two of each image and target, as far as methods ask for the same ones."""
    asked: dict[str, int] = {}
    for name, method in job.plan.job("counterfactuals", classifier=job.classifier).methods.items():
        pairs = min(job.explained, method.rows or job.explained) * targets_of_image(name, method)
        key = str(pairs_of(name, method))
        asked[key] = max(asked.get(key, 0), pairs)
    led = sum(each.takes.rows for each in job.plan.jobs("transfer", classifier=job.classifier))
    return 2 * (sum(asked.values()) + led)


def takes(job: Job) -> Takes:
    """The passes that replace pixel by pixel, of the counterfactuals and of both controls of each image and target."""
    scored = job.rows_in("counterfactuals") + controls(job)
    evaluations = scored * (ceil(job.pixels / max(1, job.pixels // SLICES)) + 1)
    return Takes(
        rows=SCORES * scored,
        exact=False,
        row_bytes=12,
        passes=(Passes(job.classifier, None, scored, evaluations),),
        megabytes=8e-3 * (job.rows_in("predictions") + ANSWERS * scored),
        seconds=4e-6 * evaluations * job.pixels,
    )


STAGE = Stage(
    says="Score the counterfactuals of a classifier, beside their controls.",
    reads=("identities", "images", "interventions", "predictions", "counterfactuals"),
    writes="scores",
    each=("classifier",),
    when=lambda job: bool(job.plan.writing("counterfactuals", classifier=job.classifier)),
    networks=lambda job: [job.classifier, *job.plan.measuring],
    options=options,
    modules=lambda job: modules("counterfactuals"),
    fails=False,
    takes=takes,
)
