from pipeline.study.training import GeneratorRecipe, GeneratorTraining
from pipeline.workflow.base import Stage
from pipeline.workflow.trained import learning_to_denoise, trained_generator_file, without_gate

Options = GeneratorRecipe

STAGE = Stage(
    says="Train a diffusion model of the study and write its weights and images that it draws.",
    writes="weights",
    each=("network",),
    follows=GeneratorTraining,
    files=lambda job: [trained_generator_file(job.network, ending) for ending in ("safetensors", "png", "json")],
    options=lambda job: without_gate(GeneratorRecipe, job.recipe),
    minutes=120,
    takes=learning_to_denoise,
)
