"""Diffusion models that diffusers saved: the folder of a UNet2DModel, or of a pipeline with its scheduler beside it."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.diffusion.description import LINEAR, Description
from pipeline.diffusion.diffusers_unet import from_diffusers
from pipeline.diffusion.entry import Generator, source_files
from pipeline.errors import UserError

PREDICTIONS = {"epsilon": "noise", "v_prediction": "velocity"}
SCHEDULES = {"linear": "linear", "squaredcos_cap_v2": "cosine"}


def load(entry: Generator) -> tuple[nn.Module, Description]:
    """The network of an entry that is such a folder, with what it is.

    Raises UserError for a model of another kind, and for a scheduler that is none of ours.
    """
    from diffusers import UNet2DModel

    weights, *_ = files = source_files(entry)
    try:
        model = UNet2DModel.from_pretrained(weights.parent, use_safetensors=True, local_files_only=True)
        network = from_diffusers(model)
    except UserError as error:
        raise UserError(f"{entry.owner}: {error}") from error
    except (OSError, ValueError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{entry.owner}: {weights.parent} holds no UNet2DModel that can be read ({reason}).") from error
    schedule, predicts = told_by_scheduler(entry.owner, files[-1]) if len(files) > 2 else (LINEAR, "noise")
    schedule = entry.schedule.model_dump() if entry.schedule else schedule
    described = Description("unet", network.shape, schedule, entry.predicts or predicts)
    return network.requires_grad_(False).eval(), described


def told_by_scheduler(owner: str, path: Path) -> tuple[dict[str, Any], str]:
    """Schedule, and what is predicted. Raises UserError for what there is not here."""
    told = json.loads(path.read_text(encoding="utf-8"))
    shape, predicts = told.get("beta_schedule", "linear"), told.get("prediction_type", "epsilon")
    steps = told.get("num_train_timesteps", 1000)
    ends = (told.get("beta_start", 1e-4) * steps, told.get("beta_end", 0.02) * steps)
    unlike = shape == "linear" and any(abs(end - ours) > 1e-6 for end, ours in zip(ends, (0.1, 20.0), strict=True))
    if shape not in SCHEDULES or predicts not in PREDICTIONS or unlike:
        raise UserError(
            f"{owner}: the scheduler in {path} has beta_schedule {shape!r} and prediction_type {predicts!r}; only"
            " 'linear' (from 0.0001 to 0.02 in 1,000 steps) or 'squaredcos_cap_v2', and 'epsilon' or 'v_prediction'"
            " can be loaded."
        )
    return {"name": SCHEDULES[shape], "steps": steps}, PREDICTIONS[predicts]
