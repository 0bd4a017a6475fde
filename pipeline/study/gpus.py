"""What known GPUs can do at most, as their makers publish it, and how long passes through a network take there."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import UserError, nearest

UTILISATION = 0.3  # of the peak, that networks in float32 are taken to reach
ROWS_AT_ONCE = 64  # images of a batch
LAUNCH_SECONDS = 0.004  # a batch takes no less: the kernels of a pass are launched one by one


@dataclass(frozen=True)
class Gpu:
    """Peaks in 10^12 floating-point operations per second, dense, by the data sheet of the maker.

    float32: without tensor cores. tensor_float32: with them, in TF32 (half of the figure where the data sheet counts
    sparsity); None where a card has no such format.
    """

    name: str
    float32: float
    tensor_float32: float | None
    source: str


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("T4", 8.1, None, "NVIDIA T4 data sheet"),
        Gpu("V100", 15.7, None, "NVIDIA V100 data sheet, SXM2"),
        Gpu("A10", 31.2, 62.5, "NVIDIA A10 data sheet"),
        Gpu("A100", 19.5, 156.0, "NVIDIA A100 data sheet"),
        Gpu("L4", 30.3, 60.0, "NVIDIA L4 data sheet"),
        Gpu("H100", 67.0, 494.7, "NVIDIA H100 data sheet, SXM"),
        Gpu("H200", 67.0, 494.7, "NVIDIA H200 data sheet, SXM"),
        Gpu("RTX-4090", 82.6, 82.6, "NVIDIA Ada architecture white paper"),
    )
}


def find_gpu(name: str) -> Gpu:
    """The GPU of that name, however its letters and spaces are written.

    Raises UserError, with the nearest valid name, for one that is not listed.
    """
    written = name.strip().upper().replace(" ", "-").replace("_", "-")
    if written in GPUS:
        return GPUS[written]
    close = nearest(written, GPUS) or next(iter(GPUS))
    raise UserError(f"there is no GPU '{name}' in the list; use {close} (one of {', '.join(GPUS)}).")


def seconds_on(gpu: Gpu, operations: float, network_evaluations: int) -> float:
    """Seconds of so many floating-point operations in so many passes: an estimate from the peak in float32.

    A small network is bound by the launches of its kernels, not by its operations.
    """
    computing = operations / (gpu.float32 * 1e12 * UTILISATION)
    return max(computing, network_evaluations / ROWS_AT_ONCE * LAUNCH_SECONDS)
