from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.datasets.sections import SHARES, DatasetKind, Shares


class DigitsDataset(DatasetKind):
    """The 1,797 real handwritten digits, 8 x 8 pixels, that come with scikit-learn."""

    read = "pipeline.datasets.digits:read"
    example = "dataset: {digits: scikit-learn, size: 16, rows: 100}"
    png_bytes = 0.5

    digits: Literal["scikit-learn"] = Field(description="The library that they come with.")
    size: int = Field(16, ge=8, le=256, description="Side in pixels after enlarging.")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="How pixels are mixed in enlarging."
    )
    shares: Shares = Field(SHARES, description="Parts for training, search and test.")
