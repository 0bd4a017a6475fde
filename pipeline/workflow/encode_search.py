from typing import Any

from pipeline.workflow import encode, sample
from pipeline.workflow.base import Job, Stage, Takes

CHOOSING = {"rows", "split", "per_class", "correct"}


class Options(encode.Options):
    seed: int
    dataset: dict[str, Any]


def options(job: Job) -> Options:
    """The dataset but for what chooses the images of the study: directions are found on others, of another split."""
    dataset = job.study.dataset.model_dump(mode="json", exclude=CHOOSING)
    shared = encode.options(job)
    return Options(
        study=shared.study,
        generators=shared.generators,
        methods=shared.methods,
        seed=job.study.seed,
        dataset=dataset,
    )


def takes(job: Job) -> Takes:
    return encode.encoding(job, max(method.images for method in encode.followed(job).values()))


STAGE = Stage(
    says="Encode images of the split search, around which directions are looked for.",
    reads=("identities",),
    writes="codes",
    when=lambda job: bool(job.study.directions),
    together=("split",),
    networks=encode.autoencoders,
    options=options,
    modules=sample.modules,
    given=lambda job: {"files": sample.sizes_of_files(job)},
    keeps_as="encode",
    takes=takes,
)
