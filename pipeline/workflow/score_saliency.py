from pipeline.infill.declared import entry_of
from pipeline.methods.base import InfillChoice
from pipeline.metrics.functions import modules
from pipeline.section import Section
from pipeline.workflow.base import Entries, Job, Passes, Stage, Takes

CURVE_IMAGES = 24  # of `flipping_curves`: eleven shares removed, eleven kept, none and all
BATCHES = 600  # maps that take as much memory as what a network has in hand


def fillers(job: Job) -> list[str]:
    """The in-fillers with weights by which all maps are judged."""
    return list(filter(None, map(entry_of, job.study.evaluation.infills)))


class Options(Section):
    study: str
    seed: int
    networks: Entries
    infills: list[InfillChoice]
    fillers: Entries


def options(job: Job) -> Options:
    return Options(
        study=job.study.study,
        seed=job.study.seed,
        networks=job.plan.entries(job.networks),
        infills=job.study.evaluation.infills,
        fillers=job.plan.entries(job.networks, "fillers"),
    )


def takes(job: Job) -> Takes:
    """For each map: truth, parts and boxes, a crop, two areas per in-filler; once an image, the truth filled in.

    Two control maps of each image are scored like a method's; another image's map in the place of each, and the truth
    itself, without the network. Maps are compared on the images that all methods explain.
    """
    infills, truth = len(job.study.evaluation.infills), job.plan.has_truth
    boxes = truth or bool(getattr(job.study.dataset, "boxes", None))
    alone = 5 * truth + len(job.plan.concepts) + 2 * boxes
    made = [method for method in job.study.making_maps.values() if method.explains(job.classifier)]
    images = min([job.explained, *filter(None, (getattr(method, "rows", None) for method in made))])
    maps, others = len(made) + 2, len(made) * (images > 1) + truth
    rows = images * (maps * (alone + 1 + 2 * infills) + others * alone + truth)
    evaluations = images * (maps * (CURVE_IMAGES * infills + 1) + 2 * truth)
    return Takes(
        rows=rows,
        row_bytes=12,
        passes=(Passes(job.classifier, None, rows, evaluations),),
        megabytes=6e-5 * (images * maps + BATCHES) * job.pixels,
        seconds=4e-6 * evaluations * job.pixels,
    )


STAGE = Stage(
    says="Score the maps of a classifier.",
    reads=("identities", "images", "saliency", "scores/score"),
    writes="scores",
    each=("classifier",),
    when=lambda job: bool(job.plan.writing("saliency", classifier=job.classifier)),
    networks=lambda job: [job.classifier, *fillers(job)],
    options=options,
    modules=lambda job: [*modules("saliency"), *job.plan.infills(*job.study.evaluation.infills)],
    fails=False,
    takes=takes,
)
