from pipeline.section import Section
from pipeline.workflow.base import Entries, Job, Passes, Roles, Stage, Takes

BATCHES = 1600  # images that take as much memory as what a network has in hand


def judges(job: Job) -> list[str]:
    """The networks that may judge counterfactuals of others; which they do judge, their tasks tell."""
    study = job.study
    made_of = [name for name in study.classifiers if job.plan.writing("counterfactuals", classifier=name)]
    named = dict.fromkeys([*study.classifiers, *study.oracles, *study.readers])
    return [name for name in named if any(name != other for other in made_of)]


def is_judge(job: Job, judge: str, classifier: str) -> bool:
    """Whether a network judges the counterfactuals of a classifier: as a reader, or by the same task."""
    (task, classes), *_ = job.plan.heads[classifier].items()
    same = job.plan.heads[judge].get(task) == classes and judge in (*job.study.oracles, *job.study.classifiers)
    return judge != classifier and (judge in job.study.readers or same)


class Options(Section):
    study: str
    seed: int
    networks: Entries
    roles: Roles


def options(job: Job) -> Options:
    return Options(
        study=job.study.study,
        seed=job.study.seed,
        networks=job.plan.entries(job.networks),
        roles=job.plan.roles(),
    )


def takes(job: Job) -> Takes:
    """Every judge on the counterfactuals of those whose task it knows; a table's row for each of its tasks."""
    plan, passes = job.plan, []
    made = {name: job.rows_in("counterfactuals", name) for name in job.study.classifiers}
    for judge in job.networks:
        seen = sum(rows for name, rows in made.items() if is_judge(job, judge, name))
        if seen:
            passes.append(Passes(judge, None, seen, seen, row_bytes=plan.logits_bytes(judge)))
    return Takes(
        rows=sum(each.rows * len(plan.heads[each.network]) for each in passes),
        row_bytes=32,
        passes=tuple(passes),
        megabytes=2e-5 * (sum(made.values()) + BATCHES) * job.pixels,
        seconds=4e-6 * sum(each.evaluations for each in passes) * job.pixels,
    )


STAGE = Stage(
    says="Ask the networks that judge what they see in the counterfactuals.",
    reads=("identities", "counterfactuals", "predictions/predict"),
    writes="predictions",
    each=("shard",),
    when=lambda job: bool(job.explained and job.networks),
    networks=judges,
    options=options,
    keeps_as="predict",
    takes=takes,
)
