from pipeline.study.training import Training
from pipeline.workflow.base import Job, Passes, Stage, Takes
from pipeline.workflow.trained import learning, trained_file

Options = Training


def takes(job: Job) -> Takes:
    """The passes of all steps, with as many again as an attack has on each; images seen, held out and tested."""
    recipe = job.recipe
    attacks = recipe.attack_steps if recipe.epsilon else 0
    seen = recipe.steps * recipe.batch_size * (1 + attacks)
    return learning(job, Passes(job.network, None, 0, seen, seen), recipe.held_out + recipe.tested)


STAGE = Stage(
    says="Train a network of the study and write its weights with a model card.",
    writes="weights",
    each=("network",),
    follows=Training,
    files=lambda job: [trained_file(job.network), trained_file(job.network, "md")],
    options=lambda job: job.recipe,
    minutes=120,
    takes=takes,
)
