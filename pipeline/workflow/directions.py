from collections.abc import Iterator

from pipeline.methods.base import DirectionMethod
from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of

BATCHES = 3200  # images that take as much memory as a batch in the U-Net
VECTOR_BYTES = 2200
SHOWN = 7  # images of a strip


def networks(job: Job) -> list[str]:
    """The classifier and its autoencoders."""
    return [job.classifier, *(method.autoencoder for method in job.methods.values())]


class Options(Section):
    study: str
    seed: int
    networks: Entries
    generators: Entries
    methods: dict[str, method_of("directions")]
    explains: dict[str, list[str]]


def options(job: Job) -> Options:
    study, plan = job.study, job.plan
    return Options(
        study=study.study,
        seed=study.seed,
        networks=plan.entries(job.networks),
        generators=plan.entries(job.networks, "generators"),
        methods=study.directions,
        explains={name: list(plan.job("directions", classifier=name).methods) for name in study.classifiers},
    )


def searching(job: Job, name: str, method: DirectionMethod) -> Passes:
    """What a search asks: decodes, each of which is a query, and the classes of the images that it looks around."""
    decodes = method.searching()
    evaluations = method.images + (decodes + SHOWN) * (1 + method.decode_steps)
    return Passes(job.classifier, name, decodes, evaluations, row_bytes=100 + VECTOR_BYTES)


def takes(job: Job) -> Takes:
    """One direction by each method; what the search looks at is kept, not written."""
    passes = [searching(job, name, method) for name, method in job.methods.items()]
    return Takes(
        rows=len(passes),
        row_bytes=VECTOR_BYTES + SHOWN * job.plan.png_bytes,
        passes=tuple(passes),
        megabytes=6e-5 * BATCHES * job.pixels,
        seconds=2e-5 * forwards(passes) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    network = job.classifier
    for name, method in job.methods.items():
        part = method.autoencoder
        deciding = method.deciding_probes(identities[network], identities[part], job.study.seed)
        yield Kept(method.method, deciding, (network, part), network, name)


STAGE = Stage(
    says="Find the direction of codes that flips a classifier, by every method.",
    reads=("identities", "codes/encode_search"),
    writes="directions",
    each=("classifier",),
    when=lambda job: bool(job.methods),
    networks=networks,
    methods=lambda study: study.directions,
    options=options,
    keeps=("offset", "logits", "distance"),
    keeps_of="probes",
    kept=kept,
    takes=takes,
)
