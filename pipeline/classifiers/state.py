"""What a loaded network holds: equal digests are equal numbers under equal names."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from pipeline.errors import UserError


def state_digest(network: torch.nn.Module) -> str | None:
    """sha256 of the names, types, shapes and bytes of all parameters and buffers; None where there are none.

    Those of networks that a plain function uses count as well: it has them as `held_outside`.
    """
    tensors = dict(state_of(network))
    for position, each in enumerate(getattr(network, "held_outside", ())):
        inner = state_of(each) if isinstance(each, torch.nn.Module) else [("", each)]
        tensors |= {f"{position} {name}": tensor for name, tensor in inner}
    found = hashlib.sha256()
    for name, tensor in tensors.items():
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return f"sha256:{found.hexdigest()}" if tensors else None


def state_of(network: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from network.named_parameters()
    yield from network.named_buffers()


def check_state(name: str, network: torch.nn.Module, identity: Mapping[str, Any]) -> None:
    """Raise UserError if a network was identified by its state and has another one by now."""
    if "state" in identity and state_digest(network) != identity["state"]:
        raise UserError(
            f"classifier '{name}' has other weights than when it was identified; list the files that it reads under its"
            " `watch`, seed what it draws at random, such as by `torch.manual_seed(0)`, and run again."
        )
