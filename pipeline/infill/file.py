"""In-fillers in files: safetensors that say what they are.

The header's metadata holds one key, "infill", with canonical JSON:
    kind           of the architecture, such as "vae"
    shape          the fields of its section in pipeline/infill/declared
    metadata       anything else worth telling (how it was trained, its quality); decides nothing
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from pipeline.digests import check_digest
from pipeline.entry import parse_entry
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.infill import Infill, load_infill
from pipeline.infill.declared import Architecture
from pipeline.infill.description import KEY, read_shape
from pipeline.infill.entry import Filler
from pipeline.weights import load_state, read_safetensors


def save_filler(
    state: Mapping[str, torch.Tensor], path: Path, shape: Architecture, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write weights, on any device, and what they are of, whole or not at all; equal input gives equal bytes."""
    from safetensors.torch import save

    header = {"kind": shape.kind, "shape": shape.model_dump(mode="json"), "metadata": dict(metadata or {})}
    kept = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with appearing(path) as hidden:
        hidden.write_bytes(save(kept, {KEY: canonical_json(header)}))


def load_network(path: Path, owner: str) -> nn.Module:
    """The frozen network of a file, in evaluation mode, in float32. Raises UserError for weights that do not fit."""
    shape = read_shape(path, owner)
    network = build_network(shape)
    load_state(owner, network, {name: value.float() for name, value in read_safetensors(owner, path).items()}, path)
    return network.requires_grad_(False).eval()


def build_network(shape: Architecture) -> nn.Module:
    """A network of that shape, with fresh weights."""
    module, name = shape.network.split(":")
    return getattr(import_module(module), name)(shape)


def load(entry: Filler) -> Infill:
    """The in-filler in a file of ours, on the CPU."""
    path = entry.existing_file()
    check_digest(entry.owner, path, entry.sha256)
    network = load_network(path, entry.owner)
    return Infill(entry.name, network.fill, per_step=True, composited=entry.composited, network=network)


def open_infill(choice: str | Mapping[str, Any], fillers: Mapping[str, Mapping[str, Any]]) -> Infill:
    """The in-filler that a study chooses: by the name of an entry, or without weights by a name or with its options.

    fillers: the entries of those with weights. Raises UserError for a wrong name, entry, option or file.
    """
    if not isinstance(choice, str):
        return load_infill(choice["infill"], **{key: value for key, value in choice.items() if key != "infill"})
    return load(parse_entry(Filler, choice, fillers[choice])) if choice in fillers else load_infill(choice)
