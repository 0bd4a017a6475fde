"""What sections of datasets share. Needs no images."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.datasets.splits import DEFAULT_SHARES
from pipeline.section import Section, Share, Split


class DatasetKind(Section):
    """A kind of dataset. The file of its declaration is named after the key by which a study chooses it."""

    read: ClassVar[str]
    """The function that opens it, as module:function; takes its options, a split and a seed, and returns a Source."""
    example: ClassVar[str]
    """How a study names it, as YAML."""
    png_bytes: ClassVar[float] = 2.0
    """Of a pixel of an image as PNG, roughly; of a photograph two thirds of its three bytes."""

    def local_files(self) -> list[str]:
        """All files that it reads on this machine, in a fixed order. Raises UserError for a missing one."""
        return []


class Shares(Section):
    """Shares of the three parts of a dataset without splits of its own; equal images are always in the same part."""

    train: Share = Field(0.0, description="For training.")
    search: Share = Field(0.0, description="For choosing directions and settings.")
    test: Share = Field(0.0, description="For the rows that are scored.")


SHARES = Shares(**DEFAULT_SHARES)


class Framed(DatasetKind):
    """How the images of a finite dataset become one size; boxes and masks follow. How it is split."""

    size: int | None = Field(224, ge=1, le=4096, description="Side in pixels; null leaves every image as it is.")
    resize: Literal["shortest", "longest", "stretch", "none"] = Field(
        "shortest", description="Which side becomes `size`; `longest` pads to a square, `stretch` changes proportions."
    )
    crop: Literal["center", "none"] = Field("center", description="Cut the middle square out, or keep all.")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="How pixels are mixed in resizing."
    )
    background: str = Field("white", description="Colour behind transparent pixels and of padding.")
    splits: dict[Split, str] | None = Field(None, description="Name of each of our splits in the dataset's own.")
    shares: Shares = Field(SHARES, description="Parts of a dataset without splits of its own.")
    label_columns: list[str] | dict[str, str] = Field(
        ["label"], description="Columns of the labels, one task each; or the column of each task."
    )
    classes: list[str] | dict[str, list[str]] | None = Field(
        None, description="Class names, to fix their order; by task where there are several."
    )
    caption_column: str | None = Field(None, description="Column of the captions.")


def files_below(root: Path) -> list[str]:
    """A file, or all files of a folder, in a fixed order; none where there is neither."""
    return [str(root)] if root.is_file() else sorted(str(path) for path in root.rglob("*") if path.is_file())
