"""Diffusion models that diffusers saved: the folder of a UNet2DModel, or of a pipeline with its scheduler beside it."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.diffusion.description import LINEAR, Description
from pipeline.diffusion.diffusers_unet import from_diffusers
from pipeline.diffusion.entry import Generator, source_files
from pipeline.errors import UserError, listed

PREDICTIONS = {"epsilon": "noise", "v_prediction": "velocity"}
VARIANCES = {
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
    "fixed_large_log": "large",
    "learned_range": "small",
}
"""learned_range is that of guided diffusion: the network says where its variance lies."""
SCHEDULES = {"linear": "linear", "squaredcos_cap_v2": "cosine"}


def load(entry: Generator) -> tuple[nn.Module, Description]:
    """The network of an entry that is such a folder, with what it is.

    Raises UserError for a model of another kind, and for a scheduler that is none of ours.
    """
    from diffusers import UNet2DModel

    weights, *_ = files = source_files(entry)
    try:
        model, loading = UNet2DModel.from_pretrained(
            weights.parent, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
        check_complete(loading)
        network = from_diffusers(model)
    except UserError as error:
        raise UserError(f"{entry.owner}: {weights.parent} cannot be used: {error}") from error
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, ZeroDivisionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{entry.owner}: {weights.parent} holds no UNet2DModel that can be read ({reason}).") from error
    schedule, predicts, variance = (LINEAR, "noise", "small")
    if len(files) > 2:
        schedule, predicts, variance = told_by_scheduler(entry.owner, files[-1])
    described = Description(
        "unet",
        network.shape,
        entry.schedule.model_dump() if entry.schedule else schedule,
        entry.predicts or predicts,
        variance=entry.variance or variance,
    )
    return network.requires_grad_(False).eval(), described


def check_complete(loading: dict[str, Any]) -> None:
    """Raises UserError where diffusers filled in weights that the file lacks, or left out some that it has."""
    for kind, weights in (("lack", loading["missing_keys"]), ("have beside them", loading["unexpected_keys"])):
        if weights:
            raise UserError(f"its weights {kind} {listed(sorted(weights)[:3])}, so they are of another network")


def told_by_scheduler(owner: str, path: Path) -> tuple[dict[str, Any], str, str]:
    """Schedule, what is predicted, and the variance if it was not learned. UserError for what there is not here."""
    told = json.loads(path.read_text(encoding="utf-8"))
    shape, predicts = told.get("beta_schedule", "linear"), told.get("prediction_type", "epsilon")
    steps, variance = told.get("num_train_timesteps", 1000), told.get("variance_type", "fixed_small")
    ends = (told.get("beta_start", 1e-4) * steps, told.get("beta_end", 0.02) * steps)
    unlike = shape == "linear" and any(abs(end - ours) > 1e-6 for end, ours in zip(ends, (0.1, 20.0), strict=True))
    if shape not in SCHEDULES or predicts not in PREDICTIONS or unlike:
        raise UserError(
            f"{owner}: the scheduler in {path} has beta_schedule {shape!r} and prediction_type {predicts!r}; only"
            " 'linear' (from 0.0001 to 0.02 in 1,000 steps) or 'squaredcos_cap_v2', and 'epsilon' or 'v_prediction'"
            " can be loaded."
        )
    if variance not in VARIANCES:
        raise UserError(
            f"{owner}: the scheduler in {path} has variance_type {variance!r}; only {', '.join(VARIANCES)} can be"
            " loaded."
        )
    return {"name": SCHEDULES[shape], "steps": steps}, PREDICTIONS[predicts], VARIANCES[variance]
