from collections.abc import Iterator

from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of
from pipeline.workflow.encode import followed

BATCHES = 3200  # images that take as much memory as a batch in the U-Net


def networks(job: Job) -> list[str]:
    """The classifier, and the autoencoders of its directions."""
    return [job.classifier, *(method.autoencoder for method in followed(job).values())]


class Options(Section):
    study: str
    seed: int
    networks: Entries
    generators: Entries
    explained_class: str
    methods: dict[str, method_of("directions")]
    rows: dict[str, int | None]
    explains: dict[str, list[str]]


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        networks=job.plan.entries(job.networks),
        generators=job.plan.entries(job.networks, "generators"),
        explained_class=study.explained_class,
        methods=study.directions,
        rows={name: method.rows for name, method in study.directions.items()},
        explains={name: list(followed(job.plan.job("transfer", classifier=name))) for name in study.classifiers},
    )


def takes(job: Job) -> Takes:
    """For each image and direction a decode and a query at every place that is looked at, and one of what is stored."""
    passes = []
    for name, method in followed(job).items():
        images = job.explained if method.rows is None else max(0, min(job.explained, method.rows - job.before))
        evaluations = images * (1 + method.transferring() * (1 + method.decode_steps))
        passes.append(Passes(job.classifier, name, images, evaluations, row_bytes=200 + job.plan.png_bytes))
    rows = sum(each.rows for each in passes)
    return Takes(
        rows=rows,
        row_bytes=150 + job.plan.png_bytes,
        passes=tuple(passes),
        megabytes=6e-5 * (rows + BATCHES) * job.pixels,
        seconds=2e-5 * forwards(passes) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    network = job.classifier
    for name, method in followed(job).items():
        part = method.autoencoder
        deciding = method.deciding_transfer(identities[network], identities[part])
        yield Kept("way", deciding, (network, part), network, name)


STAGE = Stage(
    says="Lead each image along every direction until the classifier decides otherwise.",
    reads=("identities", "images", "predictions/predict", "codes/encode", "directions"),
    writes="counterfactuals",
    each=("classifier", "shard"),
    when=lambda job: bool(followed(job) and job.explained),
    networks=networks,
    options=options,
    given=lambda job: {"rows": job.plan.explained_rows(job.shard), "before": job.before},
    keeps=("image", "content", "strength", "logits", "network_evaluations"),
    kept=kept,
    takes=takes,
)
