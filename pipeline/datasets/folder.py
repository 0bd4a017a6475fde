"""A folder of image files, with labels from its sub-folders or from a table."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipeline.datasets import files
from pipeline.datasets.decode import BrokenImage, decode_image, decode_object_mask
from pipeline.datasets.labels import (
    BOX_COLUMNS,
    Columns,
    encode_labels,
    index_labels,
    read_boxes,
    read_columns,
    task_classes,
    task_columns,
)
from pipeline.datasets.source import Box, Lazily, Sample, Source, in_order, safe_id
from pipeline.datasets.splits import check_shares, check_split, own_split, split_of
from pipeline.datasets.transform import Transform, colour, transform_boxes, transform_image, transform_mask
from pipeline.errors import UserError


@dataclass(frozen=True)
class Listing:
    """What is known of the images before any is decoded; every mapping goes from the image's relative path."""

    tasks: dict[str, tuple[str, ...]]
    labels: dict[str, dict[str, int | None]]
    captions: dict[str, str | None] = field(default_factory=dict)
    boxes: dict[str, list[Box]] = field(default_factory=dict)
    own_splits: dict[str, str] | None = None


def read(options: Mapping, split: str, seed: int) -> Source:
    """The images of a folder in one split.

    An image's id is its relative path made safe, with its ending. Its split is a hash of the file's bytes, so that
    copies of a file lie in one split (each is a candidate of its own; equal `content` shows them), unless a column of
    the label table says the split. UserError for a folder or table that is missing, empty, or at odds with the other.
    """
    folder = _existing(Path(options["folder"]), "folder")
    plan = Transform.from_options(options)
    check_split(split)
    shares = check_shares(options["shares"])
    listing = _list(folder, options)
    own = None
    if listing.own_splits is not None:
        known = sorted(set(listing.own_splits.values()))
        own, shares = own_split(split, known, options["splits"], shares, f"the column {options['split_column']}")
    masks = _find_masks(options, listing)
    paths = {safe_id(path): path for path in listing.labels}

    def ids() -> Iterator[str]:
        for image_id in in_order(paths, seed):
            path = paths[image_id]
            if own is not None and listing.own_splits[path] != own:
                continue
            if shares[split] == 1 or split_of(files.file_digest(folder / path), shares) == split:
                yield image_id

    def read_image(image_id: str) -> Sample:
        path = paths[image_id]
        known = {"attributes": listing.labels[path], "caption": listing.captions.get(path)}
        try:
            pixels = decode_image((folder / path).read_bytes(), colour(plan.background))
            parts = {"object": _mask(masks[path], pixels.shape[:2])} if path in masks else {}
        except BrokenImage as broken:
            return Sample(image_id, None, f"{folder / path}: {broken}", **known)
        boxes = transform_boxes(listing.boxes.get(path, []), *pixels.shape[:2], plan)
        parts = {concept: transform_mask(mask, plan) for concept, mask in parts.items()}
        return Sample(image_id, transform_image(pixels, plan), **known, parts=parts, boxes=boxes)

    return Source(
        name=f"the folder {folder} (split {split})",
        tasks=listing.tasks,
        ids=Lazily(ids),
        labels=lambda image_id: listing.labels[paths[image_id]],
        read=read_image,
    )


def manifest(options: Mapping) -> str:
    """JSON that changes when any file that this dataset reads is added, removed, renamed or edited."""
    folder = _existing(Path(options["folder"]), "folder")
    tables = [_table_path(folder, options[name]) for name in ("labels", "boxes") if _is_table(options[name])]
    masks = [Path(options["masks"])] if options["masks"] else []
    return files.manifest(folder, *tables, *masks)


def _list(folder: Path, options: Mapping) -> Listing:
    masks = [_existing(Path(options["masks"]), "masks")] if options["masks"] else []
    found = [path for path in files.list_files(folder, without=masks) if files.is_image(path)]
    if not found:
        endings = ", ".join(sorted(files.IMAGE_SUFFIXES))
        raise UserError(f"the folder {folder} holds no images; put files into it whose names end in one of {endings}.")
    if options["labels"] == "folders":
        listing = _from_folders(folder, found, options)
    elif options["labels"] == "none":
        listing = Listing({}, {path: {} for path in found})
    else:
        listing = _from_table(folder, found, options)
    if options["boxes"]:
        columns = read_columns(_table_path(folder, options["boxes"]))
        named = _image_names(columns, options["image_column"], folder)
        _check_on_disk(columns, named, set(found), folder)
        listing.boxes.update(read_boxes(columns, named))
    return listing


def _from_folders(folder: Path, found: list[str], options: Mapping) -> Listing:
    task = options["task"]
    loose = [path for path in found if "/" not in path]
    if loose:
        raise UserError(
            f"{folder / loose[0]} lies in no sub-folder, which would be its label; move it into one, "
            "or set dataset.labels to none or to the path of a .csv file."
        )
    names = [path.split("/")[0] for path in found]
    classes = task_classes(options["classes"], [task])[task]
    # Folder names are words, even where they look like numbers: the order is that of torchvision's ImageFolder.
    classes = tuple(map(str, classes)) if classes else tuple(sorted(set(names)))
    codes = index_labels(names, classes, f"the folder {folder}", [f"the file {path}" for path in found])
    return Listing({task: classes}, {path: {task: code} for path, code in zip(found, codes, strict=True)})


def _from_table(folder: Path, found: list[str], options: Mapping) -> Listing:
    columns = read_columns(_table_path(folder, options["labels"]))
    named = _image_names(columns, options["image_column"], folder)
    _check_once(columns, named)
    _check_on_disk(columns, named, set(found), folder)
    unlisted = sorted(set(found) - set(named))
    if unlisted and options["unlisted"] == "error":
        raise UserError(
            f"{columns.path} has no row for {len(unlisted)} of the {len(found)} images in {folder}, for example "
            f"{unlisted[0]}; add them, or set dataset.unlisted to ignore."
        )
    chosen = task_columns(options["label_columns"])
    classes = task_classes(options["classes"], chosen)
    labels: dict[str, dict[str, int | None]] = {path: {} for path in named}
    tasks = {}
    for task, column in chosen.items():
        values = columns.column(column, "label_columns")
        where = f"{columns.path}, column {column},"
        codes, tasks[task] = encode_labels(values, classes[task], where, columns.rows)
        for path, code in zip(named, codes, strict=True):
            labels[path][task] = code
    boxes = read_boxes(columns, named) if all(name in columns.values for name in BOX_COLUMNS) else {}
    return Listing(tasks, labels, _captions(columns, named, options), boxes, _own_splits(columns, named, options))


def _captions(columns: Columns, named: list[str], options: Mapping) -> dict[str, str | None]:
    if not options["caption_column"]:
        return {}
    values = columns.column(options["caption_column"], "caption_column")
    return {path: None if value is None else str(value) for path, value in zip(named, values, strict=True)}


def _own_splits(columns: Columns, named: list[str], options: Mapping) -> dict[str, str] | None:
    if not options["split_column"]:
        return None
    values = columns.column(options["split_column"], "split_column")
    for row, value in zip(columns.rows, values, strict=True):
        if value is None:
            raise UserError(
                f"{columns.path}, {row}, names no split in the column {options['split_column']}; fill it in."
            )
    return dict(zip(named, map(str, values), strict=True))


def _image_names(columns: Columns, image_column: str, folder: Path) -> list[str]:
    """The relative path of each row's image, spelled in one way."""
    names = []
    for row, value in zip(columns.rows, columns.column(image_column, "image_column"), strict=True):
        name = posixpath.normpath(str(value)) if value else ""
        if not value or name.startswith(("/", "../")):
            raise UserError(
                f'{columns.path}, {row}: "{value or ""}" is no file in {folder}; write the path below that folder, '
                "for example cats/01.jpg."
            )
        names.append(name)
    return names


def _check_once(columns: Columns, named: list[str]) -> None:
    first: dict[str, str] = {}
    for row, name in zip(columns.rows, named, strict=True):
        if name in first:
            raise UserError(
                f"{columns.path} names {name} twice, in {first[name]} and {row}; remove one of the two rows."
            )
        first[name] = row


def _check_on_disk(columns: Columns, named: list[str], found: set[str], folder: Path) -> None:
    for row, name in zip(columns.rows, named, strict=True):
        if name not in found and not (folder / name).is_file():
            raise UserError(
                f"{columns.path}, {row}: the image {folder / name} does not exist; correct or remove the row."
            )


def _find_masks(options: Mapping, listing: Listing) -> dict[str, Path]:
    """The mask file of each image that has one: the same relative path, ending in .png."""
    if not options["masks"]:
        return {}
    folder = Path(options["masks"])
    there = set(files.list_files(folder))
    stems = {path: f"{posixpath.splitext(path)[0]}.png" for path in listing.labels}
    masks = {path: folder / stem for path, stem in stems.items() if stem in there}
    if not masks:
        example = next(iter(stems.values()))
        raise UserError(f"no mask in {folder} belongs to an image; name them like their images, for example {example}.")
    return masks


def _mask(path: Path, shape: tuple[int, int]) -> np.ndarray:
    try:
        mask = decode_object_mask(path.read_bytes())
    except BrokenImage as broken:
        raise BrokenImage(f"its mask {path} is broken: {broken}") from None
    if mask.shape != shape:
        raise BrokenImage(
            f"its mask {path} has {mask.shape[1]} x {mask.shape[0]} pixels, the upright image {shape[1]} x {shape[0]}"
        )
    return mask


def _is_table(value: str | None) -> bool:
    return value not in (None, "folders", "none")


def _table_path(folder: Path, name: str) -> Path:
    """A table is found from where the pipeline runs, or else in the folder of the images."""
    return folder / name if not Path(name).exists() and (folder / name).exists() else Path(name)


def _existing(path: Path, option: str) -> Path:
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise UserError(f"the folder {path} {what}; set dataset.{option} to the path of a folder of images.")
    return path
