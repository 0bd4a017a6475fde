from pipeline.study.training import InfillTraining
from pipeline.workflow.base import Stage
from pipeline.workflow.trained import learning_to_denoise, trained_infill_file

Options = InfillTraining

STAGE = Stage(
    says="Train an in-filler of the study and write its weights with a model card.",
    writes="weights",
    each=("network",),
    follows=InfillTraining,
    files=lambda job: [trained_infill_file(job.network, ending) for ending in ("safetensors", "png", "md")],
    options=lambda job: job.recipe,
    minutes=120,
    takes=learning_to_denoise,
)
