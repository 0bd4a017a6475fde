"""Weights from files into networks: never code, never a part of them in silence.

owner: whose weights they are, as messages begin: "classifier 'mine'".
"""

import argparse
import pickle
import struct
from collections.abc import Mapping
from pathlib import Path

import torch

from pipeline.errors import UserError, listed


def read_checkpoint(owner: str, path: Path) -> dict[str, torch.Tensor]:
    """The weights in a .safetensors, or in a .pth, .pt or .bin that holds tensors and plain values alone.

    Of a training checkpoint the averaged weights, if it has them, then the plain ones. Raises UserError for a file that
    would run code when read, or that is no checkpoint.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(owner, path)
    try:
        # timm's training script keeps its command line, an argparse.Namespace, beside the weights.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{owner}: {path} holds more than weights, and reading it could run code, so it was refused;"
            " save its state_dict alone, best as .safetensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, LookupError, struct.error) as error:
        raise UserError(f"{owner}: {path} is not a torch checkpoint, or is incomplete; get it again.") from error
    return weights_of(owner, path, content)


def read_safetensors(owner: str, path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .safetensors."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(
            f"{owner}: {path} is not a safetensors file, or is incomplete ({error}); get it again."
        ) from error


def weights_of(owner: str, path: Path, content: object) -> dict[str, torch.Tensor]:
    """The state dict within what a training script saved, without the prefixes of parallel or compiled training."""
    for key in ("state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(
            f"{owner}: {path} holds no state dict; save `model.state_dict()`, alone or under the key 'state_dict'."
        )
    weights = {}
    for key, value in content.items():
        for prefix in ("_orig_mod.", "module.", "_orig_mod."):
            key = key.removeprefix(prefix)
        weights[key] = value
    return weights


def load_state(owner: str, network: torch.nn.Module, state: Mapping[str, torch.Tensor], path: Path) -> None:
    """Load weights that must fit exactly. Raises UserError that names the first few that do not."""
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state]
    extra = [key for key in state if key not in wanted]
    reshaped = [
        f"{key} {tuple(state[key].shape)} for {tuple(wanted[key].shape)}"
        for key in wanted
        if key in state and state[key].shape != wanted[key].shape
    ]
    faults = [
        f"{words} {listed(keys, most=3)}"
        for words, keys in (("lacks", missing), ("has besides", extra), ("has another shape in", reshaped))
        if keys
    ]
    if faults:
        raise UserError(
            f"{owner}: the weights in {path} do not fit the architecture: the file {'; it '.join(faults)}."
            " Name the architecture that was trained, with its `options`."
        )
    network.load_state_dict(state)
