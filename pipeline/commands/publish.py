"""Make a generator, its guide or an autoencoder of weights that were trained by a recipe, here or elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError
from pipeline.study import load_study
from pipeline.study.training import DiffusionTraining
from pipeline.workflow.plan import Plan
from pipeline.workflow.trained import trained_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.diffusion.description import Description
    from pipeline.stages.resumable import State
    from pipeline.stages.training_data import TrainingData


def publish(
    name: str,
    state: Path,
    study: str = "suite",
    folder: Path = Path("data/generators"),
    samples: int | None = None,
    seconds: float | None = None,
    device: str | None = None,
) -> None:
    """Write a diffusion model in our own format with its pictures, pass it through the gate, and write its model card.

    A diffusion autoencoder likewise; a classifier of noised images with what it reads right instead of pictures and
    gate.

    --name: of a recipe of the study that trains such a network. --state: the averaged weights, as a state dict, as
    a file of progress of a training that still runs, or in our own format. --samples: fewer than the recipe says, for a
    quick look. --seconds, --device: how long the training took and on what, for the card.
    """
    plan = Plan(load_study(study))
    trained_files(plan.study, name)
    publishing = {recipe: writes for stage, writes in PUBLISHING.items() for recipe in plan.recipes(stage)}
    if name not in publishing:
        raise UserError(
            f"{name} is neither a diffusion model nor a guide nor a diffusion autoencoder; publish one of"
            f" {', '.join(publishing)}."
        )
    if not state.is_file():
        raise UserError(f"{state} does not exist; give the file of the weights with --state.")
    publishing[name](plan, name, state, folder / f"{name}.safetensors", samples, {"seconds": seconds, "device": device})


def publish_generator(
    plan: Plan, name: str, state: Path, weights: Path, samples: int | None, told: dict[str, Any]
) -> None:
    from pipeline.stages import gate, train_generator

    chosen = plan.chosen("gate", name)
    held = fitting(name, state, train_generator.describe(chosen.recipe))
    if samples is not None:
        chosen = chosen.model_copy(update={"gate": chosen.gate.model_copy(update={"samples": samples})})
    record, neighbours = weights.with_suffix(".json"), weights.with_name(f"{name}-neighbours.png")
    train_generator.write_generator(name, chosen.recipe, held, weights, weights.with_suffix(".png"))
    train_generator.write_record(record, told)
    gate.gate(name, chosen.model_dump_json(), weights, record, weights.with_suffix(".md"), neighbours)
    record.unlink()


def publish_guide(plan: Plan, name: str, state: Path, weights: Path, samples: int | None, told: dict[str, Any]) -> None:
    from pipeline.stages import train_guide

    recipe = plan.chosen("train_guide", name)
    tested = train_guide.labelled(recipe, "test", recipe.tested)
    held = fitting(name, state, train_guide.describe(recipe, tested.heads[recipe.task]))
    told = {**told, "images": images_seen(recipe, train_guide.labelled)}
    train_guide.write_guide(name, recipe, held, tested, told, weights, weights.with_suffix(".md"))


def publish_autoencoder(
    plan: Plan, name: str, state: Path, weights: Path, samples: int | None, told: dict[str, Any]
) -> None:
    from pipeline.stages import train_autoencoder

    chosen = plan.chosen("train_autoencoder", name)
    recipe, gate = chosen.recipe, chosen.gate
    held = fitting(name, state, train_autoencoder.describe(recipe))
    if samples is not None:
        gate = gate.model_copy(update={"images": samples})
    told = {**told, "images": images_seen(recipe, train_autoencoder.with_concepts)}
    beside = weights.with_suffix(".png"), weights.with_suffix(".md")
    train_autoencoder.write_autoencoder(name, recipe, gate, held, told, weights, *beside)


def images_seen(recipe: DiffusionTraining, read: "Callable[..., TrainingData]") -> int:
    """How many images a recipe trains on; a world has as many as it asks for, and drawing them takes minutes.

    read: images of (recipe, split, number), as the training reads them.
    """
    return recipe.rows if hasattr(recipe.dataset, "world") else len(read(recipe, "train", recipe.rows).images)


PUBLISHING = {
    "train_generator": publish_generator,
    "train_guide": publish_guide,
    "train_autoencoder": publish_autoencoder,
}
"""How the network of a recipe is published, by the stage that follows such recipes."""


def fitting(name: str, state: Path, described: "Description") -> "State":
    """The weights in a file. Raises UserError where they are not of the network that is described."""
    from pipeline.diffusion.file import NETWORKS
    from pipeline.weights import load_state, read_checkpoint

    held = read_checkpoint(f"generator '{name}'", state).weights
    load_state(f"generator '{name}'", NETWORKS[described.kind](described.shape), held, state)
    return held
