"""Weights from files into networks: never code, never a part of them in silence.

owner: whose weights they are, as messages begin: "classifier 'mine'".
"""

from __future__ import annotations

import pickle
import struct
import tarfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from pipeline.errors import UserError, listed

ROBUSTNESS = ("model.", "normalizer.new_mean", "normalizer.new_std")
"""Keys of the library `robustness` (Engstrom et al. 2019): the network's, and what was done to its images."""

OPENMMLAB = ("backbone.", "head.")
"""Beginnings of the keys of a classifier of OpenMMLab, such as backbone.conv1.weight and head.fc.weight."""


@dataclass(frozen=True)
class Checkpoint:
    """weights: the state dict. mean, std: by channel, of images in [0, 1], where the file says them."""

    weights: dict[str, torch.Tensor]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def read_checkpoint(owner: str, path: Path) -> Checkpoint:
    """The weights in a .safetensors, or in a .pth, .pt, .ckpt or .bin; what else a pickle holds never comes to life.

    Of a training checkpoint the averaged weights, if it has them, then the plain ones. Raises UserError for a file
    whose weights cannot be told from code, and for one that is no checkpoint.
    """
    if path.suffix == ".safetensors":
        return Checkpoint(read_safetensors(owner, path))
    try:
        return weights_of(owner, path, torch.load(path, map_location="cpu", weights_only=True))
    except UNREADABLE as error:
        refused = UserError(
            f"{owner}: {path} holds more than weights, and reading it could run code, so it was refused;"
            " save its state_dict alone, best as .safetensors."
        )
        try:
            return weights_of(owner, path, load_lifeless(path))
        except (*UNREADABLE, *BROKEN, UserError):
            raise refused from error
    except BROKEN as error:
        raise UserError(f"{owner}: {path} is not a torch checkpoint, or is incomplete; get it again.") from error


UNREADABLE = (pickle.UnpicklingError, AttributeError, TypeError, AssertionError)
"""What reading a pickle raises that holds something else than tensors."""
BROKEN = (RuntimeError, EOFError, ValueError, LookupError, struct.error)


class Lifeless:
    """What stands for everything that a pickle names and that is no part of a tensor: it swallows all, does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> Lifeless:
        return Lifeless()

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    def extend(self, values: Any) -> None:
        pass


class Rebuild:
    """A function of torch that makes a tensor of its parts, without attributes that a pickle could change."""

    __slots__ = ("function",)

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function = function

    def __call__(self, *arguments: Any) -> torch.Tensor:
        return self.function(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        if hasattr(self, name):
            raise pickle.UnpicklingError("a checkpoint may not change torch")
        super().__setattr__(name, value)


class WeightsUnpickler(pickle.Unpickler):
    """Makes tensors, plain values and their containers; whatever else a pickle names becomes Lifeless."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return Rebuild(getattr(torch._utils, name))
        if module == "torch" and isinstance(found := getattr(torch, name, None), torch.dtype):
            return found
        return Lifeless


def load_lifeless(path: Path) -> Any:
    """What torch.save wrote, with everything but tensors and plain values replaced by Lifeless."""
    if tarfile.is_tarfile(path):  # torch unpacks such files, of before 2017, by names that they choose
        raise pickle.UnpicklingError("a checkpoint of torch's first format")

    def load(file: Any, **options: Any) -> Any:
        return WeightsUnpickler(file, **options).load()

    reader = SimpleNamespace(Unpickler=WeightsUnpickler, load=load, __name__="weights")
    return torch.load(path, map_location="cpu", pickle_module=reader, weights_only=False)


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


def weights_of(owner: str, path: Path, content: object) -> Checkpoint:
    """The state dict within what a training script saved, without the prefixes of parallel or compiled training."""
    for key in ("averaged", "state_dict_ema", "model_ema", "state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(
            f"{owner}: {path} holds no state dict; save `model.state_dict()`, alone or under the key 'state_dict'."
        )
    weights = without(content, "_orig_mod.", "module.", "_orig_mod.")
    if weights and all(key.startswith(OPENMMLAB) for key in weights):
        weights = without(weights, *OPENMMLAB)
    prefix, *normaliser = ROBUSTNESS
    if not all(key in weights for key in normaliser):
        return Checkpoint(weights)
    mean, std = (tuple(weights[key].flatten().tolist()) for key in normaliser)
    # Beside the network lies the attacker of the training, with a copy of the weights.
    own = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
    return Checkpoint(own, mean, std)


def without(weights: Mapping[str, torch.Tensor], *prefixes: str) -> dict[str, torch.Tensor]:
    """The weights under names from which each of the prefixes is removed, one after the other."""
    named = {}
    for key, value in weights.items():
        for prefix in prefixes:
            key = key.removeprefix(prefix)
        named[key] = value
    return named


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
