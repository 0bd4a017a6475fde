"""Make a generator or its guide out of weights that were trained by a recipe of a study, here or elsewhere."""

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

    A classifier of noised images likewise, with what it reads right instead of pictures and gate.

    --name: of a recipe of the study that trains such a network. --state: the averaged weights, as a state dict, as
    a file of progress of a training that still runs, or in our own format. --samples: fewer than the recipe says, for a
    quick look. --seconds, --device: how long the training took and on what, for the card.
    """
    from pipeline.diffusion.file import NETWORKS
    from pipeline.stages import gate, train_generator, train_guide
    from pipeline.weights import load_state, read_checkpoint

    plan = Plan(load_study(study))
    trained_files(plan.study, name)
    guides = plan.recipes("train_guide")
    if name not in [*plan.recipes("gate"), *guides]:
        known = ", ".join([*plan.recipes("gate"), *guides])
        raise UserError(f"{name} is neither a diffusion model nor a guide; publish one of {known}.")
    if not state.is_file():
        raise UserError(f"{state} does not exist; give the file of the weights with --state.")
    recipe = json.loads(plan.options("train_guide" if name in guides else "train_generator", name))
    weights, card, owner = folder / f"{name}.safetensors", folder / f"{name}.md", f"generator '{name}'"
    held = read_checkpoint(owner, state).weights
    if name in guides:
        tested = train_guide.labelled(recipe, "test", recipe["tested"])
        described = train_guide.describe(recipe, tested.heads[recipe["task"]])
    else:
        described = train_generator.describe(recipe)
    load_state(owner, NETWORKS[described.kind](described.shape), held, state)
    if name in guides:
        images = recipe["rows"] or len(train_guide.labelled(recipe, "train", None).images)
        told = {"seconds": seconds, "device": device, "images": images}
        train_guide.write_guide(name, recipe, held, tested, told, weights, card)
        return
    options, record = json.loads(plan.options("gate", name)), folder / f"{name}.json"
    if samples is not None:
        options["gate"]["samples"] = samples
    train_generator.write_generator(name, recipe, held, weights, folder / f"{name}.png")
    train_generator.write_record(record, seconds, device)
    gate.gate(name, canonical_json(options), weights, record, card, folder / f"{name}-neighbours.png")
    record.unlink()
