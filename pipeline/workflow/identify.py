from pipeline.classifiers.entry import Network
from pipeline.classifiers.identity import told_by_loading
from pipeline.entry import parse_entry
from pipeline.section import Section
from pipeline.workflow.base import WITH_NETWORK_MB, Entries, Job, Stage, Takes


class Options(Section):
    networks: Entries
    generators: Entries
    fillers: Entries
    files: dict[str, list[str]]


def options(job: Job) -> Options:
    names = job.plan.identified
    return Options(
        networks=job.plan.entries(names),
        generators=job.plan.entries(names, "generators"),
        fillers=job.plan.entries(names, "fillers"),
        files={name: job.plan.weights(name) for name in names},
    )


def loaders(job: Job) -> list[str]:
    """Of the networks that are loaded to be identified, since their files do not tell all of their weights."""
    networks = (name for name in job.plan.networks if told_by_loading(parse_entry(Network, name, job.plan.entry(name))))
    return job.plan.loaders(*networks)


STAGE = Stage(
    says="Hash the files of every network, generator and in-filler, once.",
    reads=("weights",),
    writes="identities",
    files=lambda job: list(map(job.plan.identity, job.plan.identified)),
    options=options,
    modules=loaders,
    memory=WITH_NETWORK_MB,
    takes=lambda job: Takes(),
)
