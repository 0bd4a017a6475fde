from pipeline.section import Section
from pipeline.study.training import AutoencoderGate, AutoencoderRecipe, AutoencoderTraining
from pipeline.workflow.base import Job, Passes, Stage, Takes
from pipeline.workflow.trained import DENOISING, learning, trained_generator_file, without_gate


class Options(Section):
    recipe: AutoencoderRecipe
    gate: AutoencoderGate


def options(job: Job) -> Options:
    return Options(recipe=without_gate(AutoencoderRecipe, job.recipe), gate=job.recipe.gate)


def takes(job: Job) -> Takes:
    """The passes of all steps, and those that restore images."""
    recipe, gate = job.recipe, job.recipe.gate
    seen, restoring = recipe.steps * recipe.batch_size, 2 * gate.steps * gate.images
    passes = Passes(job.network, None, 0, seen + restoring, seen)
    return learning(job, passes, max(gate.images, gate.tested), DENOISING)


STAGE = Stage(
    says="Train a diffusion autoencoder of the study and write its weights, images that it restores, and a model card.",
    writes="weights",
    each=("network",),
    follows=AutoencoderTraining,
    files=lambda job: [trained_generator_file(job.network, ending) for ending in ("safetensors", "png", "md")],
    options=options,
    minutes=120,
    takes=takes,
)
