"""The proxy of a black box around one source image: a small network that is fitted to probes (Sobieski & Biecek 2024).

It says of an offset from the source's code what the classifier will say, and how far the image will be from the source.
Unlike the black box it has a gradient and a Hessian.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.errors import UserError
from pipeline.explain.probes import Probes

HIDDEN = (256, 128, 64)
REMEMBERED = 5  # losses that a new one is compared with, to stop
LEARNING_RATE, DISTANCE_WEIGHT = 1e-3, 3.0


class Proxy(nn.Module):
    """From offsets (N, length) to logits (N, classes) and a distance (N,) in [0, 1].

    Sigmoid layers of the widths `hidden`; those published are 512-256-128-64-(K + 1), the first being the code itself.
    """

    def __init__(self, length: int, classes: int, hidden: Sequence[int] = HIDDEN):
        super().__init__()
        widths = [length, *hidden]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.Sigmoid())]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], classes + 1))

    def forward(self, offsets: Tensor) -> tuple[Tensor, Tensor]:
        said = self.layers(offsets)
        return said[:, :-1], said[:, -1].sigmoid()

    def loss(self, batch: Probes) -> Tensor:
        """Mean squared errors of the logits, over all of them, and three times that of the distance."""
        logits, distance = self(batch.offsets)
        error = functional.mse_loss(logits, batch.logits)
        return error + DISTANCE_WEIGHT * functional.mse_loss(distance, batch.distance)


class Fitted(NamedTuple):
    """A proxy without gradients of its weights; the loss on held-out batches after each epoch."""

    proxy: Proxy
    held_out: list[float]


def fit_proxy(
    rounds: Sequence[Probes],
    *,
    seed: int,
    hidden: Sequence[int] = HIDDEN,
    batch_size: int = 128,
    epochs: int = 1024,
) -> Fitted:
    """Fit a fresh proxy to all probes so far, as published.

    rounds: the probes as they came. Each round is cut into batches at random; one of them is held out, the others are
    learned from, batch by batch (AdamW, learning rate 0.001, weight decay 0.01). The fit ends with the first epoch
    whose held-out loss is above the mean of the last five. Raises UserError for a round that is no two batches.
    """
    generator = torch.Generator().manual_seed(seed % 2**63)
    learned, held_out = [], []
    for probes in rounds:
        if len(probes) < 2 * batch_size:
            raise UserError(
                f"{len(probes)} probes do not fill two batches of {batch_size} for the proxy, one to learn from and one"
                f" held out; use {2 * batch_size} or more, or a batch of {max(1, len(probes) // 4)}"
            )
        batches = torch.randperm(len(probes), generator=generator).split(batch_size)
        out = int(torch.randint(len(batches), (), generator=generator))
        for number, rows in enumerate(batches):
            chosen = Probes(probes.offsets[rows], probes.logits[rows], probes.distance[rows])
            (held_out if number == out else learned).append(chosen)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        proxy = Proxy(rounds[0].offsets.shape[1], rounds[0].logits.shape[1], hidden)
    losses = descend(proxy, learned, held_out, epochs)
    return Fitted(proxy.requires_grad_(False).eval(), losses)


def descend(proxy: Proxy, learned: list[Probes], held_out: list[Probes], epochs: int) -> list[float]:
    """Fit until the held-out loss rises; returns it after each epoch."""
    optimiser = torch.optim.AdamW(proxy.parameters(), LEARNING_RATE)
    losses: list[float] = []
    for _ in range(epochs):
        for batch in learned:
            optimiser.zero_grad(set_to_none=True)
            with torch.enable_grad():
                proxy.loss(batch).backward()
            optimiser.step()
        with torch.no_grad():
            loss = float(sum(proxy.loss(batch) for batch in held_out)) / len(held_out)
        recent = losses[-REMEMBERED:]
        losses.append(loss)
        if recent and loss > sum(recent) / len(recent):
            break
    return losses
