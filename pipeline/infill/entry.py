"""The entry of an in-filler with weights in a study: where it comes from and what it returns. Needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from pipeline.entry import Entry
from pipeline.errors import UserError

LOADERS = {"file": "pipeline.infill.file:load"}
"""Each takes a Filler and returns an Infill on the CPU, with its network."""


class Filler(Entry):
    """An in-filler with weights: where it comes from.

    Exactly one of file and trained says where it comes from.
    """

    kind: ClassVar[str] = "in-filler"
    loaders: ClassVar = LOADERS

    file: str | None = Field(None, description="A file of our own format (.safetensors with a description).")
    trained: str | None = Field(None, description="An in-filler of the section `training` of this study.")
    composited: bool = Field(
        False,
        description="Return kept pixels as they are in the image, as the official code of contextual attention does:"
        " then their masks get no gradient. Without, all pixels are as the network made them.",
    )
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Expected digest of the file.")

    def existing_file(self) -> Path:
        """The file of its weights. Raises UserError if it is not there."""
        path = Path(self.source).expanduser()
        if not path.is_file():
            found = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise UserError(
                f"{self.owner}: {path} {found}; correct the path (relative paths count from the working directory), or"
                " train the in-filler first."
            )
        return path
