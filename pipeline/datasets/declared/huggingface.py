from __future__ import annotations

from pathlib import Path

from pydantic import Field

from pipeline.datasets.sections import Framed, files_below


class HuggingFaceDataset(Framed):
    """A Hugging Face dataset: a local Parquet or Arrow file or folder, or a name on the hub."""

    read = "pipeline.datasets.huggingface:read"
    example = """\
dataset:
  huggingface: uoft-cs/cifar10
  image_column: img
  splits: {train: train, test: test}
  size: 32
  rows: 100"""

    huggingface: str = Field(description="Path or hub name.")
    revision: str | None = Field(None, description="Commit or tag on the hub, so that the data stays the same.")
    configuration: str | None = Field(None, description="Configuration of a dataset that has several.")
    image_column: str = Field("image", description="Column of the images.")
    id_column: str | None = Field(
        None, description="Column of unique names; without, split and row number are the name."
    )

    def local_files(self) -> list[str]:
        """None of a name on the hub."""
        return files_below(Path(self.huggingface))
