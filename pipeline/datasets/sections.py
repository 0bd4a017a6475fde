"""The options of each kind of dataset, with their defaults. Needs no images."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from pipeline.datasets.splits import DEFAULT_SHARES
from pipeline.errors import UserError
from pipeline.section import Section, Share, Split
from pipeline.worlds import load_world
from pipeline.worlds.prior import Prior


class MixtureComponent(Section):
    """A share of the images in which some concepts have fixed values; the others follow the marginals."""

    weight: Share = Field(description="Share of the images; the weights of a mixture add up to 1.")
    set: dict[str, str] = Field(description="Value of each fixed concept.")


class PriorOptions(Section):
    """Joint distribution of a world's concepts; independent and uniform where nothing is said."""

    marginals: dict[str, dict[str, Share]] = Field({}, description="Probability of each value, by concept.")
    mixture: list[MixtureComponent] = Field([], description="Any joint distribution, as a mixture of assignments.")


class WorldDataset(Section):
    """Images of a synthetic world, rendered on demand: the truth about them is known."""

    world: Literal["portraits", "shapes"] = Field(description="Name of the world.")
    size: int = Field(64, ge=32, le=256, description="Side of the images in pixels.")
    prior: PriorOptions | None = Field(None, description="Joint distribution of the concepts.")

    @model_validator(mode="after")
    def fit_the_world(self) -> WorldDataset:
        """The prior must name concepts and values of the world, with probabilities that add up."""
        try:
            Prior.from_options(self.prior and self.prior.model_dump(), load_world(self.world).concepts)
        except UserError as error:
            raise PydanticCustomError("prior", "{reason}", {"reason": str(error)}) from None
        return self


class Shares(Section):
    """Shares of the three parts of a dataset without splits of its own; equal images are always in the same part."""

    train: Share = Field(0.0, description="For training.")
    search: Share = Field(0.0, description="For choosing directions and settings.")
    test: Share = Field(0.0, description="For the rows that are scored.")


SHARES = Shares(**DEFAULT_SHARES)


class Framed(Section):
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


class FolderDataset(Framed):
    """A person's own images."""

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


class HuggingFaceDataset(Framed):
    """A Hugging Face dataset: a local Parquet or Arrow file or folder, or a name on the hub."""

    huggingface: str = Field(description="Path or hub name.")
    revision: str | None = Field(None, description="Commit or tag on the hub, so that the data stays the same.")
    configuration: str | None = Field(None, description="Configuration of a dataset that has several.")
    image_column: str = Field("image", description="Column of the images.")
    id_column: str | None = Field(
        None, description="Column of unique names; without, split and row number are the name."
    )


class ImageNetDataset(Section):
    """The validation images of ImageNet (ILSVRC 2012): as published, or in a folder for each class.

    Each image's shorter side is scaled to `size` / `crop_share`, and the middle `size` x `size` pixels are taken.
    """

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


class DigitsDataset(Section):
    """The 1,797 real handwritten digits, 8 x 8 pixels, that come with scikit-learn."""

    digits: Literal["scikit-learn"] = Field(description="The library that they come with.")
    size: int = Field(16, ge=8, le=256, description="Side in pixels after enlarging.")
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = Field(
        "bilinear", description="How pixels are mixed in enlarging."
    )
    shares: Shares = Field(SHARES, description="Parts for training, search and test.")


SECTIONS: dict[str, type[Section]] = {
    "world": WorldDataset,
    "folder": FolderDataset,
    "huggingface": HuggingFaceDataset,
    "imagenet": ImageNetDataset,
    "digits": DigitsDataset,
}
"""By the key that each kind of dataset is chosen by."""
