from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.datasets.sections import DatasetKind, Shares


class ImageNetDataset(DatasetKind):
    """The validation images of ImageNet (ILSVRC 2012): as published, or in a folder for each class.

    Each image's shorter side is scaled to `size` / `crop_share`, and the middle `size` x `size` pixels are taken.
    """

    read = "pipeline.datasets.imagenet:read"
    example = "dataset: {imagenet: resources/imagenet/val, classes: [cheetah, 970], rows: 100}"

    imagenet: str = Field(
        description="Folder of the files of ILSVRC2012_img_val.tar, or of folders such as n01440764 with them."
    )
    devkit: str | None = Field(
        None,
        description="Folder ILSVRC2012_devkit_t12, which tells the classes of the published files; if nothing is said,"
        " the one beside `imagenet`.",
    )
    classes: list[int | str] | None = Field(
        None, min_length=1, description="Take images of these classes alone: numbers, WordNet ids or names."
    )
    size: int = Field(256, ge=1, le=4096, description="Side in pixels.")
    crop_share: float = Field(0.875, gt=0, le=1, description="Share of the shorter side that is kept.")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bicubic", description="How pixels are mixed in resizing."
    )
    shares: Shares = Field(Shares(test=1.0), description="Parts for training, search and test.")

    def local_files(self) -> list[str]:
        from pipeline.datasets.imagenet import image_files

        return list(map(str, image_files(self.model_dump())))
