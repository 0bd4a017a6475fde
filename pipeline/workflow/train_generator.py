from pipeline.study.training import GeneratorTraining
from pipeline.workflow.base import Stage
from pipeline.workflow.trained import learning_to_denoise, trained_generator_file

STAGE = Stage(
    says="Train a diffusion model of the study and write its weights and images that it draws.",
    writes="weights",
    each=("network",),
    follows=GeneratorTraining,
    files=lambda job: [trained_generator_file(job.network, ending) for ending in ("safetensors", "png", "json")],
    options=lambda job: job.recipe.model_dump(mode="json", exclude={"gate"}),
    minutes=120,
    takes=learning_to_denoise,
)
