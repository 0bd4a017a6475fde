"""Diffusion models in files: our own, which say what they are, and the official ones, of which one must be told.

Ours are safetensors whose header's metadata holds one key, "diffusion", with canonical JSON:
    kind           "unet", "noisy-classifier" or "autoencoder"
    shape          the fields of Shape, or of AutoencoderShape
    schedule       name and number of steps, such as {"name": "linear", "steps": 1000}
    predicts       "noise" or "velocity"
    classes        names of the classes of a noisy classifier, or null
    metadata       anything else worth telling (how it was trained, its quality); decides nothing
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.diffusion.autoencoder import DiffusionAutoencoder
from pipeline.diffusion.description import KEY, Description, read_description
from pipeline.diffusion.entry import Generator
from pipeline.diffusion.unet import NoisyClassifier, UNet
from pipeline.errors import UserError
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.weights import load_state, read_checkpoint, read_safetensors

NETWORKS: dict[str, type[nn.Module]] = {
    "unet": UNet,
    "noisy-classifier": NoisyClassifier,
    "autoencoder": DiffusionAutoencoder,
}


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
        state = read_checkpoint(owner, path).weights
    network = NETWORKS[description.kind](description.shape)
    load_state(owner, network, {name: value.float() for name, value in state.items()}, path)
    return network.requires_grad_(False).eval(), description


def load(entry: Generator) -> tuple[nn.Module, Description]:
    """The network of an entry that is a file of ours, or an official checkpoint, with what it is."""
    described = entry.described() if entry.format == "checkpoint" else None
    return load_model(Path(entry.source).expanduser(), entry.owner, described)
