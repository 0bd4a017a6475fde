from pipeline.study.training import GuideTraining
from pipeline.workflow.base import Stage
from pipeline.workflow.trained import learning_to_denoise, trained_generator_file

Options = GuideTraining

STAGE = Stage(
    says="Train a classifier of noised images and write its weights with a model card.",
    writes="weights",
    each=("network",),
    follows=GuideTraining,
    files=lambda job: [trained_generator_file(job.network, ending) for ending in ("safetensors", "md")],
    options=lambda job: job.recipe,
    minutes=120,
    takes=learning_to_denoise,
)
