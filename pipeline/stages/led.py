"""What is led along directions: the directions as they were found, and the codes of the images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.diffusion.autoencoder import Codes
from pipeline.explain.transfer import moves_along
from pipeline.fingerprint import digest
from pipeline.methods.base import DirectionMethod
from pipeline.tables import read_table, unpack

NO_CODE = {"status": "failed", "reason": "the image was not encoded, as one before it could not be judged"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Led:
    """A direction as it was found, or why there is none. row_id: of its row. vector: (L,) of length 1."""

    row_id: str
    target: int
    origin: int
    vector: torch.Tensor | None
    unit: float | None
    reason: str | None

    @property
    def identity(self) -> str:
        """The digest of the way that images are led."""
        return digest([self.vector.tolist(), self.unit])

    def target_of(self, explained: int) -> int:
        """The class that an image of a class is led to."""
        return self.origin if explained == self.target else self.target

    def moves(self, targets: torch.Tensor) -> torch.Tensor:
        """Changes of code (N, L) of strength 1, of images that are led to these classes (N,)."""
        return moves_along(self.vector, self.unit, torch.where(targets == self.target, 1, -1))


def read_directions(directions: Sequence[Path]) -> dict[str, Led]:
    """The directions of a classifier by method."""
    found = {}
    for row in read_table(directions, "directions").to_pylist():
        vector = None if row["status"] != "ok" else torch.tensor(row["vector"])
        found[row["method"]] = Led(row["row_id"], row["target"], row["origin"], vector, row["unit"], row["reason"])
    return found


def with_codes(rows: Sequence[Row], codes: Path, method: DirectionMethod) -> list[Row]:
    """Rows with the codes of their images."""
    encoded = {
        row["image_id"]: row
        for row in read_table(codes, "codes").to_pylist()
        if all(row[key] == value for key, value in method.encoding().items())
    }
    return [{**row, "code": encoded.get(row["image_id"], NO_CODE)} for row in rows]


def whole_codes(rows: Sequence[Row]) -> tuple[list[Row], list[int], Codes | None]:
    """Of rows with codes: a failed row for each, the places of those that have a code, and these codes."""
    codes = [row["code"] for row in rows]
    whole = [place for place, code in enumerate(codes) if code["status"] == "ok"]
    failed: list[Row] = [{"status": "failed", "reason": code["reason"]} for code in codes]
    if not whole:
        return failed, whole, None
    noise = [unpack("codes", "noise", codes[place]["noise"], codes[place]["shape"]) for place in whole]
    told = Codes(
        torch.tensor([codes[place]["semantic"] for place in whole]),
        torch.stack([torch.from_numpy(each.copy()).float() for each in noise]),
    )
    return failed, whole, told
