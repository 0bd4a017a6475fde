from collections.abc import Iterator

from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of

BATCHES = 1600  # images that take as much memory as a batch with its gradients
CELL_BYTES = 4


def fillers(job: Job) -> list[str]:
    """The in-fillers with weights of its maps."""
    return [method.filler for method in job.methods.values() if method.filler is not None]


class Options(Section):
    study: str
    seed: int
    networks: Entries
    fillers: Entries
    explained_class: str
    methods: dict[str, method_of("saliency")]
    explains: dict[str, list[str]]


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        networks=job.plan.entries(job.networks),
        fillers=job.plan.entries(job.networks, "fillers"),
        explained_class=study.explained_class,
        methods=study.saliency,
        explains={name: list(job.plan.job("saliency", classifier=name).methods) for name in study.classifiers},
    )


def takes(job: Job) -> Takes:
    """A map of each image by every method."""
    passes, map_bytes, rows = [], 0.0, job.explained
    for name, method in job.methods.items():
        spent = method.spends(job.plan.side, job.plan.side)
        size = spent.map_cells * CELL_BYTES
        evaluations, backward = rows * spent.network_evaluations, rows * spent.with_backward
        passes.append(Passes(job.classifier, name, rows, evaluations, backward, 100 + size))
        map_bytes += size
    return Takes(
        rows=rows * len(passes),
        row_bytes=60 + map_bytes / max(1, len(passes)),
        passes=tuple(passes),
        megabytes=6e-5 * (rows + BATCHES) * job.pixels,
        seconds=4e-6 * forwards(passes) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    network = job.classifier
    for name, method in job.methods.items():
        deciding = method.deciding(identities[network], job.study.seed, identities.get(method.filler))
        yield Kept(method.method, deciding, tuple(filter(None, (network, method.filler))), network, name)


STAGE = Stage(
    says="Explain each image by the maps of every method.",
    reads=("identities", "images", "predictions/predict"),
    writes="saliency",
    each=("classifier", "shard"),
    when=lambda job: bool(job.methods and job.explained),
    networks=lambda job: [job.classifier, *fillers(job)],
    methods=lambda study: study.saliency,
    options=options,
    given=lambda job: {"rows": job.plan.explained_rows(job.shard)},
    keeps=("map", "shape", "objective_value", "steps", "network_evaluations"),
    kept=kept,
    takes=takes,
)
