from collections.abc import Iterator
from pathlib import Path

from pipeline.digests import file_digest
from pipeline.errors import UserError
from pipeline.methods.base import CounterfactualMethod
from pipeline.section import Section
from pipeline.study.targets import Pairs, near_and_far, pairs_of, targets_of_image
from pipeline.workflow.base import Entries, Identities, Job, Kept, Passes, Stage, Takes, forwards, method_of

BATCHES = 3200  # images that take as much memory as a batch with the generator's gradients


def networks(job: Job) -> list[str]:
    """The classifier, and the networks and generators that its counterfactuals are made with."""
    return [job.classifier, *(part for method in job.methods.values() for part in method.parts().values())]


class Wanted(Section):
    """Which counterfactuals a method is to make: of each image those of its targets, or of a word for these."""

    targets: str | Pairs
    to_itself: bool
    samples: int
    rows: int | None


def wanted(name: str, method: CounterfactualMethod) -> Wanted:
    return Wanted(
        targets=pairs_of(name, method),
        to_itself=getattr(method.target, "to_itself", False),
        samples=method.samples,
        rows=method.rows,
    )


class Options(Section):
    study: str
    seed: int
    networks: Entries
    generators: Entries
    explained_class: str
    methods: dict[str, method_of("counterfactuals")]
    wanted: dict[str, Wanted]
    near_and_far: dict[str, dict[str, Pairs]]
    drawn: dict[str, str]
    explains: dict[str, list[str]]


def options(job: Job) -> Options:
    study = job.study
    return Options(
        study=study.study,
        seed=study.seed,
        networks=job.plan.entries(job.networks),
        generators=job.plan.entries(job.networks, "generators"),
        explained_class=study.explained_class,
        methods=study.counterfactuals,
        wanted={name: wanted(name, method) for name, method in study.counterfactuals.items()},
        near_and_far=near_and_far(study.counterfactuals.values()),
        drawn=drawn(job),
        explains={name: list(job.plan.job("counterfactuals", classifier=name).methods) for name in study.classifiers},
    )


def follow_from_all_images(job: Job) -> list[str]:
    """The predictions of all images, where targets follow from them."""
    return ["predictions/predict"] if any(each.target == "most-confused" for each in job.methods.values()) else []


def follows_maps(job: Job) -> bool:
    """Whether maps say where images may change."""
    regions = (getattr(method, "region", None) for method in job.methods.values())
    return any(region is not None and region.saliency is not None for region in regions)


def drawn(job: Job) -> dict[str, str]:
    """sha256 of each file in which a person drew where images may change. Raises UserError for a missing one."""
    regions = (getattr(method, "region", None) for method in job.study.counterfactuals.values())
    paths = {region.drawn for region in regions if region and region.drawn}
    for path in paths:
        if not Path(path).is_file():
            raise UserError(f"counterfactuals: a region is drawn in {path}, which does not exist; draw it anew.")
    return {path: file_digest(Path(path)) for path in sorted(paths)}


def passes(job: Job) -> Iterator[Passes]:
    """For each image, target and sample what the method takes, and a pass that judges the image as it is stored."""
    for name, method in job.methods.items():
        images = job.explained if method.rows is None else max(0, min(job.explained, method.rows - job.before))
        rows = images * method.samples * targets_of_image(name, method)
        counts = method.spends().values()
        evaluations = rows * (1 + sum(count.network_evaluations for count in counts))
        backward = rows * sum(count.with_backward for count in counts)
        yield Passes(job.classifier, name, rows, evaluations, backward, 200 + job.plan.png_bytes)


def takes(job: Job) -> Takes:
    made = tuple(passes(job))
    rows = sum(each.rows for each in made)
    return Takes(
        rows=rows,
        row_bytes=150 + job.plan.png_bytes,
        passes=made,
        megabytes=6e-5 * (rows + BATCHES) * job.pixels,
        seconds=2e-5 * forwards(made) * job.pixels,
    )


def kept(job: Job, identities: Identities) -> Iterator[Kept]:
    network = job.classifier
    for name, method in job.methods.items():
        parts = method.parts()
        named = {role: identities[part] for role, part in parts.items()}
        deciding = method.deciding(identities[network], named, job.study.seed)
        yield Kept(method.method, deciding, (network, *parts.values()), network, name)


STAGE = Stage(
    says="Change each image until the classifier decides for another class, by every method.",
    reads=("identities", "images", "predictions/predict", "saliency"),
    only_if={"saliency": follows_maps},
    writes="counterfactuals",
    each=("classifier", "shard"),
    whole=follow_from_all_images,
    when=lambda job: bool(job.methods and job.explained),
    networks=networks,
    methods=lambda study: study.counterfactuals,
    options=options,
    given=lambda job: {"rows": job.plan.explained_rows(job.shard), "before": job.before},
    keeps=("image", "content", "logits", "network_evaluations"),
    kept=kept,
    takes=takes,
)
