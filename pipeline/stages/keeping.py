"""Rows that are kept: looked up in the store, and made where it lacks them; once, for every stage that keeps rows.

A stage says which rows it wants, what tells each of them from all others (`Key`), and how a batch of them is made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import pyarrow
import torch

from pipeline.device import BatchSize, pick_device
from pipeline.errors import RowFailure
from pipeline.images import to_tensor
from pipeline.noise import Noise
from pipeline.progress import Bar, bar
from pipeline.rows import Key, RowStore
from pipeline.stages.common import Job, unheard

Row = dict[str, Any]


@dataclass
class Batch:
    """N rows that are made together, with the key of each. size: rows that go through a network at once.

    expected, passed: how often images pass through the networks of the job until it is made, and have passed.
    """

    keys: Sequence[Key]
    rows: Sequence[Row]
    size: BatchSize
    device: torch.device
    expected: float = 0.0
    passed: int = 0

    def images(self) -> torch.Tensor:
        """The images of the rows (N, 3, H, W) in [0, 1]."""
        return to_tensor([row["image"] for row in self.rows]).to(self.device)

    def column(self, name: str) -> torch.Tensor:
        """A column of whole numbers (N,)."""
        return torch.tensor([row[name] for row in self.rows], device=self.device)

    def noise(self, seed: int, purpose: str) -> Noise:
        """A row for each, by image and sample: whatever else tells rows apart, such as the target, they share it."""
        samples = [key.sample for key in self.keys]
        return Noise(seed, [key.image_id for key in self.keys], purpose, samples).to(self.device)

    def expect(self, passes: float, together: int = 1) -> None:
        """Say how often the image of each row passes through networks, by which the bar tells how far the batch is.

        together: how many of its passes stand in one batch; a batch that too few fill is filled up.
        """
        filled = ceil(len(self.rows) * together / self.size.rows) * self.size.rows
        self.expected = passes * filled / together

    def come(self, images: int) -> float:
        """How many rows' worth of work is done, now that so many images more have passed."""
        self.passed += images
        return len(self.rows) * min(1.0, self.passed / max(1.0, self.expected))


Make = Callable[[Batch], tuple[Sequence[Row], int]]
"""Makes the row to keep of each row of a batch, in their order, and tells the network evaluations that all took.

A row that cannot be made, and never will be, has the status failed and a reason, or is named by a RowFailure.
"""


def keep(
    label: str,
    store: RowStore,
    rows: Sequence[Row],
    key_of: Callable[[Row], Key],
    make: Make,
    account: Job,
    *,
    stored_at_once: int,
    batch_size: int,
) -> pyarrow.Table:
    """What the store keeps of each of `rows`, in their order; what it lacks is made, and stored batch by batch.

    stored_at_once: rows of a batch; a killed job makes at most these again. batch_size: rows that go through a network
    at once; where the card has too little memory, a batch is made anew with half as many. Rows that fail for good are
    kept as failed. Every other error ends the work.
    """
    by_key = {key_of(row): row for row in rows}
    missing, size = store.missing(by_key), BatchSize(batch_size)
    account.device = pick_device()
    with account.clock("compute"), bar(label, len(by_key)) as progress:
        progress.advance(len(by_key) - len(missing))
        for start in range(0, len(missing), stored_at_once):
            keys = missing[start : start + stored_at_once]
            batch = Batch(keys, [by_key[key] for key in keys], size, account.device)
            store.append(keys, made_or_failed(batch, make, account, progress))
            account.rows_computed += len(keys)
            progress.advance(len(keys))
    with account.clock("tables"):
        return store.select([key_of(row) for row in rows])


def made_or_failed(batch: Batch, make: Make, account: Job, progress: Bar) -> list[Row]:
    """The rows of a batch; those that fail for good get a failed row, and the others another try without them."""
    try:
        return list(made(batch, make, account, progress))
    except RowFailure as failure:
        if not failure.reasons:
            raise
        rows = {place: {"status": "failed", "reason": reason} for place, reason in failure.reasons.items()}
    if others := [place for place in range(len(batch.rows)) if place not in rows]:
        keys, asked = ([column[place] for place in others] for column in (batch.keys, batch.rows))
        rest = made_or_failed(replace(batch, keys=keys, rows=asked), make, account, progress)
        rows |= zip(others, rest, strict=True)
    return [rows[place] for place in range(len(batch.rows))]


def made(batch: Batch, make: Make, account: Job, progress: Bar) -> Sequence[Row]:
    """The rows of a batch, made with as many at once as fit into memory."""

    def attempt(at_once: int) -> tuple[Sequence[Row], int]:
        tried = replace(batch, passed=0)
        tried.expect(1)
        account.passed = lambda images: progress.foresee(tried.come(images))
        return make(tried)

    try:
        rows, evaluations = batch.size.fitting(attempt, batch.device)
    finally:
        account.passed = unheard
    account.clock.count(evaluations)
    return rows
