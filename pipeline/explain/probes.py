"""Probes of a black box: images decoded from the code of one source image and small changes of it, and what is said.

Every function of this family asks for a `decode`, which takes Codes of N rows and returns images (N, C, H, W) in
[0, 1], and for a `query`, which takes such images and returns logits (N, K). No gradient is asked of either.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.device import BatchSize, in_batches
from pipeline.diffusion.autoencoder import Codes
from pipeline.errors import UserError
from pipeline.noise import Noise

PURPOSE = "probes"

Decode = Callable[[Codes], Tensor]
Query = Callable[[Tensor], Tensor]
Distance = Callable[[Tensor], Tensor]
"""Takes images (N, C, H, W) in [0, 1]; returns how far each is from the source image, (N,) from 0 (same) up to 1."""


@dataclass(frozen=True)
class Probes:
    """What was said of P images around a source: one decode and one query for each.

    offsets: (P, L) from the source's code. logits: (P, K). distance: (P,) from the source image.
    """

    offsets: Tensor
    logits: Tensor
    distance: Tensor

    def __len__(self) -> int:
        return len(self.offsets)

    def __add__(self, more: "Probes") -> "Probes":
        pairs = ((self.offsets, more.offsets), (self.logits, more.logits), (self.distance, more.distance))
        return Probes(*(torch.cat(pair) for pair in pairs))


Look = Callable[[Tensor, Sequence[int]], Probes]
"""Looks at offsets (P, L) under their numbers (P), by which a probe that was already looked at can be known again."""


def probe_noise(seed: int, source_image_id: str, numbers: Sequence[int]) -> Noise:
    """The noise of probes with these numbers: a probe is the same however many are made, and in whatever order."""
    return Noise(seed, [source_image_id] * len(numbers), PURPOSE, list(numbers))


def uniform_offsets(noise: Noise, length: int, radius: float = 1.0) -> Tensor:
    """Offsets (P, length) in every direction alike, their norm uniform up to `radius` (Sobieski & Biecek 2024).

    noise: a row for each probe. radius: in the units of the codes; 1 is published.
    """
    if not radius > 0:
        raise UserError(f"radius is {radius}; use a number above 0, such as 1")
    directions = torch.nn.functional.normalize(noise.normal(0, (length,)), dim=1)
    return directions * (radius * noise.uniform(1, (1,)))


def look_around(
    decode: Decode,
    query: Query,
    source: Codes,
    distance: Distance,
    offsets: Tensor,
    *,
    batch_size: int | BatchSize = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] | None = None,
) -> Probes:
    """Decode the source's code with each of the offsets (P, L), all with the source's own noise, and query them.

    source: Codes of one row. device: where decode, query and distance compute.
    """
    if len(source.semantic) != 1:
        raise ValueError(f"codes of {len(source.semantic)} source images; give those of one")
    semantic, noise = (part.to(device) for part in source)

    def of_batch(moves: Tensor) -> tuple[Tensor, Tensor]:
        images = decode(Codes(semantic + moves, noise.expand(len(moves), *noise.shape[1:])))
        return query(images), distance(images)

    logits, distances = in_batches(of_batch, offsets, batch_size=batch_size, device=device, progress=progress)
    return Probes(offsets, logits.float(), distances.float())
