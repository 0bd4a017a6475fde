"""Global Counterfactual Directions (Sobieski & Biecek 2024): g- and h-directions of a black box around one image."""

from collections.abc import Sequence
from math import ceil
from typing import Literal

import torch

from pipeline.explain.differences import Search, basis_of, search
from pipeline.explain.directions import Around, Direction, NoiseOf, proxy_directions
from pipeline.explain.probes import Probes, uniform_offsets
from pipeline.explain.proxy import fit_proxy

PURPOSE = "gcd"
BLOCK = 16  # pairs of probes after which the search may end


def find(
    around: Around,
    *,
    noise: NoiseOf,
    kind: Literal["g", "h"] = "g",
    estimator: Literal["differences", "proxy"] = "differences",
    decodes: int = 256,
    radius: float = 1.0,
    axes: int = 4,
    agreement: float = 0.95,
    round: int = 1024,
) -> list[Direction]:
    """Directions of one kind, found with at most so many decodes, each of which is a query.

    estimator: "proxy", a network fitted to probes in all directions alike, as published; or "differences" between
    pairs of probes in the coordinates in which codes vary, see there. radius: of the probes, in units of the code for
    a proxy, in standard deviations for differences. axes: of curvature; h-directions are both ways along each.
    agreement: differences only, of two halves of the pairs, at which the search ends. round: proxy only, probes of
    which some batches are held out together.
    """
    count = axes if kind == "h" else 0
    length, target = around.semantic.shape[1], around.target
    if estimator == "differences":
        pairs = (decodes - 1) // 2  # and the source
        options = Search(pairs, min(BLOCK, pairs // 2 * 2), agreement, radius)
        found = search(around.look, basis_of(around.semantic), target, lambda number: noise([number]), options)
        directions = found.directions(min(count, len(found.basis)))
    else:
        rounds = torch.arange(decodes).tensor_split(ceil(decodes / round))
        probes = [probed(around, noise, numbers.tolist(), radius) for numbers in rounds]
        size = min(128, len(probes[-1]) // 2)  # the published one, if a round fills two
        proxy = fit_proxy(probes, seed=noise([0]).seed, batch_size=size).proxy
        directions = proxy_directions(proxy, length, target, count)
    return [direction for direction in directions if direction.kind == kind]


def probed(around: Around, noise: NoiseOf, numbers: Sequence[int], radius: float) -> Probes:
    """Probes with these numbers, in all directions alike."""
    return around.look(uniform_offsets(noise(numbers), around.semantic.shape[1], radius), numbers)
