from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pipeline.datasets.sections import Framed, files_below
from pipeline.errors import UserError


class FolderDataset(Framed):
    """A person's own images."""

    read = "pipeline.datasets.folder:read"
    example = """\
dataset:
  folder: photos
  labels: photos/labels.csv
  label_columns: [species]
  size: 224
  rows: 100"""

    folder: str = Field(description="Folder with the images, searched with its sub-folders.")
    labels: str = Field(
        "folders", description="`folders` (a sub-folder per class), `none`, or a table (.csv, .parquet)."
    )
    task: str = Field("label", description="Name of the task when sub-folders are the labels.")
    image_column: str = Field("file", description="Column of the labels file with the path of the image in the folder.")
    split_column: str | None = Field(None, description="Column of the labels file with the dataset's own split.")
    unlisted: Literal["error", "ignore"] = Field("error", description="What to do with images the labels file lacks.")
    boxes: str | None = Field(None, description="A .csv or .parquet file with a row per box: image, x0, y0, x1, y1.")
    masks: str | None = Field(None, description="Folder with a mask image of the object per image, of the same name.")

    def local_files(self) -> list[str]:
        """The images, masks and tables; of a table of labels that is not there, reading the images tells."""
        found = []
        for key, name in (("folder", self.folder), ("masks", self.masks), ("boxes", self.boxes)):
            root = Path(name or "")
            if name and not root.exists() and not (Path(self.folder) / root).exists():
                raise UserError(f"dataset.{key}: {root} does not exist; set it to where your files are.")
            found += files_below(root) if name else []
        return [*found, self.labels] if Path(self.labels).is_file() else found
