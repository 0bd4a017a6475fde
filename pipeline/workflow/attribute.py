from collections.abc import Iterator

from pipeline.methods.base import AttributionMethod, DirectionMethod
from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of

BATCHES = 3200  # images that take as much memory as a batch in the U-Net
CELL_BYTES = 4
WALKED = 2  # times the memory of an image that one on the way takes, which is held until the map is made


def direction_of(job: Job, method: AttributionMethod) -> DirectionMethod:
    """The entry that a method follows."""
    return job.study.directions[method.direction]


def networks(job: Job) -> list[str]:
    """The classifier, and the autoencoders of the directions."""
    return [job.classifier, *(direction_of(job, method).autoencoder for method in job.methods.values())]


class Options(Section):
    study: str
    seed: int
    networks: Entries
    generators: Entries
    explained_class: str
    methods: dict[str, method_of("attributions")]
    directions: dict[str, method_of("directions")]
    rows: dict[str, int | None]
    explains: dict[str, list[str]]


def options(job: Job) -> Options:
    study, methods = job.study, job.study.attributions
    return Options(
        study=study.study,
        seed=study.seed,
        networks=job.plan.entries(job.networks),
        generators=job.plan.entries(job.networks, "generators"),
        explained_class=study.explained_class,
        methods=methods,
        directions={method.direction: direction_of(job, method) for method in methods.values()},
        rows={name: method.rows for name, method in methods.items()},
        explains={name: list(job.plan.job("attribute", classifier=name).methods) for name in study.classifiers},
    )


def takes(job: Job) -> Takes:
    """For each image and method a decode and a query at every place on the way."""
    passes, map_bytes = [], CELL_BYTES * job.pixels
    for name, method in job.methods.items():
        images = job.explained if method.rows is None else max(0, min(job.explained, method.rows - job.before))
        evaluations = images * method.decodes() * (1 + direction_of(job, method).decode_steps)
        passes.append(Passes(job.classifier, name, images, evaluations, row_bytes=100 + map_bytes))
    rows = sum(each.rows for each in passes)
    walked = WALKED * max((method.decodes() for method in job.methods.values()), default=0)
    return Takes(
        rows=rows,
        row_bytes=60 + map_bytes,
        passes=tuple(passes),
        megabytes=6e-5 * (rows + walked + BATCHES) * job.pixels,
        seconds=2e-5 * forwards(passes) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    network = job.classifier
    for name, method in job.methods.items():
        direction = direction_of(job, method)
        part = direction.autoencoder
        deciding = method.deciding(identities[network], identities[part], direction)
        yield Kept(method.method, deciding, (network, part), network, name)


STAGE = Stage(
    says="Explain each image by the maps of the pixels by which directions change it.",
    reads=("identities", "images", "predictions/predict", "codes/encode", "directions"),
    writes="saliency",
    each=("classifier", "shard"),
    when=lambda job: bool(job.methods and job.explained),
    networks=networks,
    methods=lambda study: study.attributions,
    options=options,
    given=lambda job: {"rows": job.plan.explained_rows(job.shard), "before": job.before},
    keeps=("map", "shape", "strength", "network_evaluations"),
    kept=kept,
    takes=takes,
)
