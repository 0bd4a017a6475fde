"""Diffusion models in files: our own, which say what they are, and the official ones, of which one must be told.

Ours are safetensors whose header's metadata holds one key, "diffusion", with canonical JSON:
    kind           "unet" or "noisy-classifier"
    shape          the fields of Shape
    schedule       name and number of steps, such as {"name": "linear", "steps": 1000}
    predicts       "noise" or "velocity"
    classes        names of the classes of a noisy classifier, or null
    metadata       anything else worth telling (how it was trained, its quality); decides nothing
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import Schedule, full_schedule
from pipeline.diffusion.unet import NoisyClassifier, Shape, UNet
from pipeline.errors import UserError, listed, nearest
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.weights import load_state, read_checkpoint, read_safetensors

KEY = "diffusion"
FIELDS = ("kind", "shape", "schedule", "predicts", "classes", "metadata")
KINDS: dict[str, type[UNet] | type[NoisyClassifier]] = {"unet": UNet, "noisy-classifier": NoisyClassifier}


@dataclass(frozen=True)
class Description:
    """What a file of weights is; the fields are those of its header."""

    kind: str
    shape: Shape
    schedule: Mapping[str, Any]
    predicts: str = "noise"
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            close = nearest(str(self.kind), KINDS) or "unet"
            raise UserError(f"there is no kind of diffusion model {self.kind!r}; use {close} ({', '.join(KINDS)})")

    def full_schedule(self) -> Schedule:
        """The schedule that the network was trained on."""
        return full_schedule(self.schedule["name"], self.schedule["steps"])


def save_model(
    state: Mapping[str, torch.Tensor],
    path: Path,
    description: Description,
    *,
    half: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write weights and description to `path`, whole or not at all; equal input gives equal bytes.

    state: of the network, on any device. half: store float16, half the size; the networks still compute in float32.
    """
    from safetensors.torch import save

    header = {
        "kind": description.kind,
        "shape": description.shape.to_options(),
        "schedule": dict(description.schedule),
        "predicts": description.predicts,
        "classes": None if description.classes is None else list(description.classes),
        "metadata": dict(metadata or {}),
    }
    kept = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    if half:
        kept = {name: value.half() if value.is_floating_point() else value for name, value in kept.items()}
    with appearing(path) as hidden:
        hidden.write_bytes(save(kept, {KEY: canonical_json(header)}))


def read_description(path: Path, owner: str) -> Description:
    """What one of our files says that it is. Raises UserError if it is not one of ours."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{owner}: {path} does not exist; correct the path, or train the network first.")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise UserError(
            f"{owner}: {path} is not a safetensors file, or is incomplete ({error}); get it again."
        ) from error
    if text is None:
        raise UserError(
            f"{owner}: {path} has weights but no description of a diffusion model; for an official checkpoint give"
            f" `checkpoint: {path}` with a preset such as imagenet-256 instead of `file`."
        )
    header = json.loads(text)
    if missing := [field for field in FIELDS if field not in header]:
        raise UserError(f"{owner}: the description in {path} lacks {listed(missing)}; train it again.")
    shape = Shape.from_options(header["shape"])
    return Description(header["kind"], shape, header["schedule"], header["predicts"], header["classes"])


def load_model(path: Path, owner: str, description: Description | None = None) -> tuple[nn.Module, Description]:
    """A frozen network in evaluation mode, in float32, with what it is.

    description: of a file that does not say it: an official .pt, or safetensors without our header. Raises UserError
    for weights that do not fit, and for a file that would run code when read.
    """
    if description is None:
        description = read_description(path, owner)
        state = read_safetensors(owner, path)
    else:
        if not path.is_file():
            raise UserError(f"{owner}: {path} does not exist; correct the path, or download the checkpoint first.")
        state = read_checkpoint(owner, path)
    network = KINDS[description.kind](description.shape)
    load_state(owner, network, {name: value.float() for name, value in state.items()}, path)
    return network.requires_grad_(False).eval(), description


def load_denoiser(path: Path, owner: str, description: Description | None = None) -> tuple[Denoiser, Description]:
    """A diffusion model on its full schedule. Raises UserError as `load_model`, and for a file of another kind."""
    network, description = load_model(path, owner, description)
    if description.kind != "unet":
        raise UserError(f"{owner}: {path} holds a {description.kind}; give the file of a diffusion model.")
    return Denoiser(network, description.full_schedule(), description.predicts), description
