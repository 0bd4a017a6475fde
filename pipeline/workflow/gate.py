from pipeline.section import Section
from pipeline.study.training import Gate, GeneratorRecipe, GeneratorTraining
from pipeline.workflow.base import Entries, Job, Passes, Stage, Takes
from pipeline.workflow.trained import DENOISING, learning, measuring, trained_generator_file, without_gate


class Options(Section):
    recipe: GeneratorRecipe
    gate: Gate
    networks: Entries


def options(job: Job) -> Options:
    recipe = without_gate(GeneratorRecipe, job.recipe)
    return Options(recipe=recipe, gate=job.recipe.gate, networks=measuring(job.study, job.network))


def takes(job: Job) -> Takes:
    """Images drawn, held against as many of its own and all that it learnt from."""
    drawn = job.recipe.gate.samples
    return learning(job, Passes(job.network, None, 0, drawn * job.recipe.gate.steps), 2 * drawn, DENOISING)


STAGE = Stage(
    says="Hold images of a trained diffusion model against its training images, for its model card.",
    reads=("weights",),
    writes="card",
    each=("network",),
    follows=GeneratorTraining,
    when=lambda job: False,  # a study has no use for it; a person asks for it, as `make train` does
    files=lambda job: [
        trained_generator_file(job.network, "md"),
        trained_generator_file(f"{job.network}-neighbours", "png"),
    ],
    options=options,
    minutes=120,
    takes=takes,
)
