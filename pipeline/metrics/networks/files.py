"""Official weight files: read as data, checked against their sha256, loaded whole or not at all."""

import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from pipeline.classifiers.sources import existing_file
from pipeline.digests import file_digest
from pipeline.errors import UserError, listed
from pipeline.weights import load_state, read_checkpoint

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
ARRAY_PARTS = (
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    ("collections", "OrderedDict"),
)


def read_weights(name: str, path: str | Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a .pth, .pt, .tar or .safetensors that holds weights and plain values alone.

    sha256: what the file must have, if given. Raises UserError for a missing, altered or unsuitable file.
    """
    return read_checkpoint(f"network '{name}'", checked_file(name, path, sha256)).weights


def read_parts(
    name: str, path: str | Path, parts: Sequence[str], sha256: str | None = None
) -> list[dict[str, torch.Tensor]]:
    """The tensors of each part of a torch file {part: state dict} that holds nothing but weights.

    Raises UserError for a missing, altered or unsuitable file.
    """
    path = checked_file(name, path, sha256)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return [dict(content[part]) for part in parts]
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, TypeError, LookupError, struct.error) as error:
        raise UserError(
            f"network '{name}': {path} is no torch file of the weights of {' and '.join(parts)} alone; get the official"
            " file."
        ) from error


def read_arrays(name: str, path: str | Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """The tensors of a pickle of {name: numpy array}, as converted from Caffe; nothing else in it is ever built.

    Raises UserError for a missing, altered or unsuitable file.
    """
    path = checked_file(name, path, sha256)
    try:
        with open(path, "rb") as file:
            content = ArraysOnly(file, encoding="latin1").load()
        return {key: torch.from_numpy(np.array(value, np.float32)) for key, value in content.items()}
    except (pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, LookupError) as error:
        raise UserError(
            f"network '{name}': {path} is no pickle of arrays alone, or is incomplete ({error}); get the official file."
        ) from error


class ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers."""

    def find_class(self, module: str, name: str) -> object:
        if (module.replace("numpy._core", "numpy.core"), name) not in ARRAY_PARTS:
            raise pickle.UnpicklingError(f"it wants {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def checked_file(name: str, path: str | Path, sha256: str | None) -> Path:
    """The file, if it is there and has this sha256 (any, if None)."""
    path = existing_file(name, path)
    found = file_digest(path) if sha256 else None
    if found != sha256:
        raise UserError(
            f"network '{name}': {path} has sha256 {found}, expected {sha256}; get the file again, or correct `sha256`"
            " if the new file is meant."
        )
    return path


def part_of(
    name: str, path: str | Path, state: Mapping[str, torch.Tensor], prefix: str, others: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The weights under a prefix, without it. Raises UserError for a key that has neither it nor one of the others."""
    unknown = [key for key in state if not key.startswith((prefix, *others))]
    if unknown:
        raise UserError(
            f"network '{name}': {path} has weights {listed(unknown)}, expected names that begin with {prefix}; get the"
            " official file."
        )
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def fitted(name: str, path: str | Path, network: torch.nn.Module, state: Mapping[str, torch.Tensor]) -> torch.nn.Module:
    """The network with these weights, which must fit exactly, frozen, in float32 and for evaluation.

    Files older than the counters of batch normalisation lack them; evaluation does not use them.
    """
    counters = {key: value for key, value in network.state_dict().items() if key.endswith("num_batches_tracked")}
    load_state(f"network '{name}'", network, {**counters, **state}, Path(path))
    return network.float().eval().requires_grad_(False)


def per_channel(values: Sequence[float]) -> torch.Tensor:
    """One number for each channel as (1, C, 1, 1)."""
    return torch.tensor(values).view(1, -1, 1, 1)
