"""Which split an image belongs to: decided by its content alone, so that equal images never lie in two splits."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

from pipeline.datasets.hints import meant
from pipeline.errors import UserError

SPLITS = ("train", "search", "test")
DEFAULT_SHARES = {"train": 0.7, "search": 0.1, "test": 0.2}

# What datasets with splits of their own call the images that are for choosing, in order of preference.
SEARCH_NAMES = ("search", "validation", "valid", "val", "dev")


def check_split(split: str) -> str:
    """Return the split; UserError unless it is train, search or test."""
    if split not in SPLITS:
        raise UserError(f'there is no split "{split}"{meant(split, SPLITS)}; dataset.split is train, search or test.')
    return split


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Return the shares of all three splits, 0 for one that is left out; UserError unless they sum to 1."""
    example = "for example dataset.shares: {train: 0.7, search: 0.1, test: 0.2}"
    for name, share in shares.items():
        if name not in SPLITS:
            raise UserError(f'dataset.shares names a split "{name}"{meant(name, SPLITS)}; write {example}.')
        if not 0 <= share <= 1:
            raise UserError(f"dataset.shares gives {share} to the split {name}; shares lie from 0 to 1, {example}.")
    if not math.isclose(total := math.fsum(shares.values()), 1, abs_tol=1e-6):
        raise UserError(f"dataset.shares sum to {total:.6g}; they must sum to 1, {example}.")
    return {name: float(shares.get(name, 0)) for name in SPLITS}


def split_of(content: str, shares: Mapping[str, float]) -> str:
    """The split of an image with this content (any string that is equal for equal images).

    The hash of the content is a place in [0, 1), which the shares divide in the order train, search, test: another
    image never changes it, and neither does the order in which `shares` names the splits.
    """
    place = int(hashlib.sha256(f"split:{content}".encode()).hexdigest()[:16], 16) / 2**64
    shared = [name for name in SPLITS if shares.get(name, 0) > 0]
    reached = 0.0
    for name in shared:
        reached += shares[name]
        if place < reached:
            return name
    # Rounding can leave the sum of the shares a little below 1.
    return shared[-1]


def own_split(
    split: str, own: Iterable[str], mapping: Mapping[str, str] | None, shares: Mapping[str, float], where: str
) -> tuple[str, dict[str, float]]:
    """Which of a dataset's own splits holds our split, and the shares by which it is divided among ours.

    mapping: our split -> the dataset's own; left out, equal names match, search takes the validation split, and a
    dataset with a single split serves all three. Several of ours that share one of its own divide it by content, in
    proportion to their shares. UserError when the dataset has no such split.
    """
    own = list(own)
    mapping = dict(mapping) if mapping else _guess(own)
    for ours in mapping:
        check_split(ours)
    if split not in mapping:
        raise UserError(
            f"{where} has the splits {', '.join(own)}, none of which is known to be {split}; "
            f"write dataset.splits, for example {{{split}: {own[0]}}}."
        )
    if mapping[split] not in own:
        raise UserError(
            f'{where} has no split "{mapping[split]}"{meant(mapping[split], own)}; '
            f"dataset.splits can name {', '.join(own)}."
        )
    sharing = {ours: shares[ours] for ours in SPLITS if mapping.get(ours) == mapping[split]}
    if len(sharing) == 1:
        return mapping[split], {split: 1.0}
    total = math.fsum(sharing.values())
    if total == 0:
        raise UserError(
            f"dataset.shares gives 0 to {' and '.join(sharing)}; set for example {{train: 0.7, test: 0.3}}."
        )
    return mapping[split], {ours: share / total for ours, share in sharing.items()}


def _guess(own: list[str]) -> dict[str, str]:
    if len(own) == 1:
        return {split: own[0] for split in SPLITS}
    guessed = {split: split for split in ("train", "test") if split in own}
    search = next((name for name in SEARCH_NAMES if name in own), guessed.get("train"))
    return guessed if search is None else {**guessed, "search": search}
