"""How fast a network is here: one batch of noise, timed forward and with backward, and its operations counted."""

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.files import appearing
from pipeline.fingerprint import canonical_json, digest
from pipeline.study.timing import Speed

ROWS, REPEATS = 32, 3
GENERATED_ROWS, STEP = 8, 500.0


def speed_file(results: Path, identity: str, side: int) -> Path:
    """Where the speed of a network is kept. identity: canonical JSON."""
    return results / "speeds" / f"{digest([identity, side])[:16]}.json"


def read_speed(path: Path) -> Speed | None:
    """The speed that was kept there; None where there is none."""
    return Speed(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write_speed(path: Path, speed: Speed) -> None:
    with appearing(path) as hidden:
        hidden.write_text(canonical_json(asdict(speed)) + "\n", encoding="utf-8")


def measure_speed(name: str, entry: Mapping[str, Any], seed: int, side: int, of_generator: bool = False) -> Speed:
    """Load a network and time it on the device that stages would take.

    A classifier sees images (N, 3, side, side); a generator, or a guide, those of its own size.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from pipeline.classifiers.load import load_classifier
    from pipeline.costs import device_name
    from pipeline.device import pick_device, place

    device, rows, differentiable = pick_device(), ROWS, True
    if of_generator:
        network, side = noised(name, entry)
        rows = GENERATED_ROWS
        place(network, device)
    else:
        network = place(load_classifier(name, entry, seed=seed), device)
        differentiable = network.differentiable
    images = torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(0)).to(device)

    def forward() -> None:
        with torch.inference_mode():
            finish(network(images))

    def with_backward() -> None:
        leaves = images.clone().requires_grad_()
        finish(torch.autograd.grad(network(leaves).sum(), leaves)[0])

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return Speed(
        operations=counter.get_total_flops() / rows or None,
        forward=seconds_of(forward) / rows,
        with_backward=seconds_of(with_backward) / rows if differentiable else None,
        device=device_name(device),
    )


def noised(name: str, entry: Mapping[str, Any]) -> tuple[Any, int]:
    """A generator or guide as a network of images alone, at a step in the middle; and the side of its images."""
    import torch

    from pipeline.diffusion.denoiser import Denoiser
    from pipeline.diffusion.load import load_generator

    generator = load_generator(name, entry)
    network = generator.network if isinstance(generator, Denoiser) else generator

    class AtOneStep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.network(images, torch.full((len(images),), STEP, device=images.device))

    return AtOneStep(), network.shape.size


def finish(tensor: Any) -> None:
    """Wait until a tensor is computed: a card works on while the program goes on."""
    tensor.sum().item()


def seconds_of(function: Callable[[], None]) -> float:
    """The median time of a call, after one that does not count."""
    function()
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)
