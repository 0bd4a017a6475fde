from collections.abc import Iterable, Iterator

from pipeline.methods.base import DirectionMethod
from pipeline.section import Section
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of

BATCHES = 3200  # images that take as much memory as a batch in the U-Net
NOISE_BYTES = 6  # of a pixel: three channels of two bytes
SEMANTIC_BYTES = 2048


def followed(job: Job) -> dict[str, DirectionMethod]:
    """The directions that a job makes codes for, or follows; it runs no method that finds them."""
    entries = job.study.directions.items()
    return {name: method for name, method in entries if job.classifier is None or method.explains(job.classifier)}


def autoencoders(job: Job) -> list[str]:
    return [method.autoencoder for method in followed(job).values()]


def encodings(methods: Iterable[DirectionMethod]) -> list[dict]:
    """What decides the codes that these methods need, each once."""
    found = []
    for method in methods:
        if method.encoding() not in found:
            found.append(method.encoding())
    return found


class Options(Section):
    study: str
    generators: Entries
    methods: dict[str, method_of("directions")]


def options(job: Job) -> Options:
    generators = job.plan.entries(job.networks, "generators")
    return Options(study=job.study.study, generators=generators, methods=followed(job))


def encoding(job: Job, images: int) -> Takes:
    """For each image the encoder, the U-Net at every step of the way to noise, and at every step of the way back."""
    row_bytes = 100 + SEMANTIC_BYTES + NOISE_BYTES * job.pixels
    passes = [
        Passes(None, None, images, images * (1 + each["encode_steps"] + each["decode_steps"]), row_bytes=row_bytes)
        for each in encodings(followed(job).values())
    ]
    return Takes(
        rows=images * len(passes),
        row_bytes=row_bytes,
        passes=tuple(passes),
        megabytes=6e-5 * (images + BATCHES) * job.pixels,
        seconds=2e-5 * forwards(passes) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    for each in encodings(followed(job).values()):
        method = next(method for method in followed(job).values() if method.encoding() == each)
        name = method.autoencoder
        yield Kept("ddim", method.deciding_codes(identities[name]), (name,))


STAGE = Stage(
    says="Encode the images that are explained, by every autoencoder.",
    reads=("identities", "images"),
    writes="codes",
    each=("shard",),
    when=lambda job: bool(followed(job) and job.explained),
    networks=autoencoders,
    options=options,
    given=lambda job: {"rows": job.plan.explained_rows(job.shard)},
    keeps=("semantic", "noise", "shape", "reconstruction_error", "network_evaluations"),
    kept=kept,
    takes=lambda job: encoding(job, job.explained),
)
