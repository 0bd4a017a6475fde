"""Where tensors are computed: device, precision, memory format, and batches that fit into memory."""

import os
import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from pipeline.errors import UserError, nearest

ENVIRONMENT = "COUNTERFACTORY_DEVICE"
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

Found = TypeVar("Found")
Tensors = torch.Tensor | tuple[torch.Tensor, ...]


def pick_device(name: str | None = None) -> torch.device:
    """Return the device called `name`, else the one in COUNTERFACTORY_DEVICE, else CUDA where there is one, else CPU.

    MPS is used only when asked for: its results are not compared with the CPU's.
    Raises UserError for a device that this machine does not have.
    """
    origin = "the device asked for" if name else f"the environment variable {ENVIRONMENT}"
    name = name or os.environ.get(ENVIRONMENT)
    if not name:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise UserError(f"{origin} is {name!r}, which is no device; use cpu, cuda, cuda:1 or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        cards = torch.cuda.device_count()
        raise UserError(f"{origin} is {name!r}, but torch sees {cards} CUDA cards here; use {_usable(cards)}")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UserError(f"{origin} is 'mps', but this machine has none; use cpu")
    return device


def precision(device: torch.device | str, name: str = "float32") -> torch.dtype:
    """Return the number format to compute in: float32 on the CPU always, elsewhere the one called `name`."""
    if name not in PRECISIONS:
        close = nearest(name, PRECISIONS) or "float32"
        raise UserError(f"precision {name!r} is not known; use {close} (one of {', '.join(PRECISIONS)})")
    return torch.float32 if torch.device(device).type == "cpu" else PRECISIONS[name]


def place(module: torch.nn.Module, device: torch.device | str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """Move a network to `device` in evaluation mode, with the memory format that convolutions are fastest in there."""
    layout = torch.channels_last if torch.device(device).type == "cuda" else torch.contiguous_format
    return module.eval().to(device=device, dtype=dtype, memory_format=layout)


class BatchSize:
    """A number of rows that shrinks for good when a card runs out of memory; what computes in batches can share one."""

    def __init__(self, rows: int):
        if rows < 1:
            raise UserError(f"batch size is {rows}; use 1 or more")
        self.rows = rows

    def __repr__(self) -> str:
        return f"BatchSize({self.rows})"

    def fitting(self, compute: Callable[[int], Found], device: torch.device) -> Found:
        """What `compute` makes with so many rows at once; with half as many as long as the card runs out of memory.

        Raises UserError where one row alone is already too much.
        """
        while (found := _attempt(compute, self.rows, device)) is None:
            self.halve(device)
        return found

    def halve(self, device: torch.device) -> None:
        """Halve the rows, with a warning; raises UserError where one row alone is already too much."""
        if self.rows == 1:
            raise UserError(
                f"one row alone does not fit into the memory of {device}; use smaller images or a larger card"
            )
        half = self.rows // 2
        warnings.warn(f"{self.rows} rows do not fit into the memory of {device}; going on with {half}", stacklevel=4)
        self.rows = half


def in_batches(
    function: Callable[..., Tensors],
    *tensors: torch.Tensor,
    batch_size: int | BatchSize,
    device: torch.device | str | None = None,
    progress: Callable[[int], object] | None = None,
) -> Tensors:
    """Compute `function` over the rows of `tensors`, in batches of one fixed shape.

    function: takes one batch of each tensor, on `device`; returns a tensor, or a tuple of them, with a row per row.
    tensors: (N, ...) each, N the same for all. device: where to compute; by default where the first tensor is.
    progress: called with the number of rows just finished.

    Returns what the function returns, for all N rows, detached, on the first tensor's device. The last batch is filled
    up by repeating its last row, and the surplus is cut: with shapes that never change a row is the same to the last
    bit whatever shares its batch. A CUDA card that runs out of memory gets half the rows from there on.
    """
    size = batch_size if isinstance(batch_size, BatchSize) else BatchSize(batch_size)
    rows, home = len(tensors[0]), tensors[0].device
    if any(len(tensor) != rows for tensor in tensors):
        raise ValueError(
            f"tensors with {', '.join(str(len(tensor)) for tensor in tensors)} rows; all must have as many"
        )
    target = home if device is None else torch.device(device)
    if rows == 0:
        single = [tensor.new_zeros((1, *tensor.shape[1:])).to(target) for tensor in tensors]
        return _joined([_checked(function(*single), 1, 0, home)])

    finished: list[tuple[torch.Tensor, ...] | torch.Tensor] = []
    start = 0

    def of_batch(count: int) -> Tensors:
        return function(*(_filled(tensor[start : start + count], count).to(target) for tensor in tensors))

    while start < rows:
        outputs = size.fitting(of_batch, target)
        count = min(size.rows, rows - start)
        finished.append(_checked(outputs, size.rows, count, home))
        start += count
        if progress is not None:
            progress(count)
    return _joined(finished)


def _attempt(compute: Callable[[int], Found], rows: int, device: torch.device) -> Found | None:
    """What `compute` makes with so many rows at once, or None where the card has too little memory.

    The exception holds every tensor of the failed attempt, so memory is only free once this frame is left.
    """
    try:
        return compute(rows)
    except torch.OutOfMemoryError:
        pass
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _filled(rows: torch.Tensor, size: int) -> torch.Tensor:
    """Repeat the last row until there are `size`."""
    missing = size - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows


def _checked(outputs: Tensors, size: int, count: int, home: torch.device) -> Tensors:
    """Cut the outputs of a batch of `size` to its first `count` rows and bring them home."""
    if isinstance(outputs, tuple):
        return tuple(_checked(output, size, count, home) for output in outputs)
    if len(outputs) != size:
        raise ValueError(f"the function returned {len(outputs)} rows for a batch of {size}; it must return one per row")
    return outputs[:count].detach().to(home)


def _joined(batches: list[Tensors]) -> Tensors:
    if isinstance(batches[0], tuple):
        return tuple(torch.cat(parts) for parts in zip(*batches, strict=True))
    return torch.cat(batches)


def _usable(cards: int) -> str:
    return "cpu" if cards == 0 else " or ".join(f"cuda:{index}" for index in range(cards))
