"""When two rows are the same: up to the rounding of floating point numbers, which differs with the batch."""

from typing import Any

import numpy as np
import pytest

from pipeline.images import decode_png
from pipeline.tables.checks import PNG_SIGNATURE


def alike(value: Any, other: Any) -> bool:
    """Whether two values of a row are the same up to rounding, which may move a pixel by one of its 255 levels."""
    if value == other:
        return True
    if isinstance(value, float) and isinstance(other, float):
        return value == pytest.approx(other, rel=1e-2, abs=1e-3, nan_ok=True)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(alike, value, other))
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(alike(each, other[key]) for key, each in value.items())
    if isinstance(value, bytes) and isinstance(other, bytes) and value.startswith(PNG_SIGNATURE):
        pixels = (decode_png(each).astype(int) for each in (value, other))
        return np.abs(np.subtract(*pixels)).max() <= 1
    return False
