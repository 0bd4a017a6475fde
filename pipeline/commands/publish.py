"""Make a generator out of weights that were trained by a recipe of a study, here or elsewhere."""

import json
from pathlib import Path

from pipeline.errors import UserError
from pipeline.fingerprint import canonical_json
from pipeline.study import load_study
from pipeline.workflow.plan import Plan
from pipeline.workflow.trained import trained_files


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

    --name: of a recipe of the study that trains a diffusion model. --state: the averaged weights, as a state dict, as
    a file of progress of a training that still runs, or in our own format. --samples: fewer than the recipe says, for a
    quick look. --seconds, --device: how long the training took and on what, for the card.
    """
    from pipeline.diffusion.unet import UNet
    from pipeline.stages import gate, train_generator
    from pipeline.weights import load_state, read_checkpoint

    plan = Plan(load_study(study))
    trained_files(plan.study, name)
    if name not in plan.recipes("gate"):
        raise UserError(f"{name} is no diffusion model; publish one of {', '.join(plan.recipes('gate'))}.")
    if not state.is_file():
        raise UserError(f"{state} does not exist; give the file of the weights with --state.")
    recipe, options = json.loads(plan.options("train_generator", name)), json.loads(plan.options("gate", name))
    if samples is not None:
        options["gate"]["samples"] = samples
    weights, record = folder / f"{name}.safetensors", folder / f"{name}.json"
    owner = f"generator '{name}'"
    held = read_checkpoint(owner, state).weights
    load_state(owner, UNet(train_generator.describe(recipe).shape), held, state)
    train_generator.write_generator(name, recipe, held, weights, folder / f"{name}.png")
    train_generator.write_record(record, seconds, device)
    gate.gate(name, canonical_json(options), weights, record, folder / f"{name}.md", folder / f"{name}-neighbours.png")
    record.unlink()
