"""The validation images of ImageNet (ILSVRC 2012), as they are published or sorted into a folder for each class.

Published: ILSVRC2012_img_val.tar, 50,000 files in one folder, and ILSVRC2012_devkit_t12.tar.gz, which says the class of
each by numbers of its own (1 to 1,000, by topic). A class's number here is its place among the sorted WordNet ids, as
in every classifier.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import floor
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.datasets import files
from pipeline.datasets.decode import BrokenImage, decode_image
from pipeline.datasets.source import Lazily, Sample, Source, in_order, safe_id
from pipeline.datasets.splits import check_shares, check_split, split_of
from pipeline.datasets.transform import INTERPOLATIONS
from pipeline.errors import UserError
from pipeline.imagenet import class_names, class_numbers, wordnet_ids

TASK = "label"
DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
PUBLISHED_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
WORDNET_ID = re.compile(r"n\d{8}")


def read(options: Mapping, split: str, seed: int) -> Source:
    """The images of the chosen classes in one split.

    The task is `label` with all 1,000 classes. An image's id is the name of its file, which is the same however the
    files are sorted. UserError for folders that are missing or hold something else.
    """
    folder = Path(options["imagenet"])
    check_split(split)
    shares = check_shares(options["shares"])
    labels = list_images(options)
    paths = {_image_id(path): path for path in labels}

    def ids() -> Iterator[str]:
        for image_id in in_order(paths, seed):
            if shares[split] == 1 or split_of(files.file_digest(folder / paths[image_id]), shares) == split:
                yield image_id

    def read_image(image_id: str) -> Sample:
        path = paths[image_id]
        known = {"attributes": {TASK: labels[path]}}
        try:
            pixels = decode_image((folder / path).read_bytes())
        except BrokenImage as broken:
            return Sample(image_id, None, f"{folder / path}: {broken}", **known)
        framed = frame(pixels, options["size"], options["crop_share"], options["interpolation"])
        return Sample(image_id, framed, **known)

    return Source(
        name=f"the folder {folder} (split {split})",
        tasks={TASK: class_names()},
        ids=Lazily(ids),
        labels=lambda image_id: {TASK: labels[paths[image_id]]},
        read=read_image,
    )


def manifest(options: Mapping) -> str:
    """JSON that changes when an image of the chosen classes, or what says its class, changes."""
    return files.manifest(*image_files(options))


def image_files(options: Mapping) -> list[Path]:
    """The files that the dataset reads: the images of the chosen classes, and of the devkit what says their classes."""
    folder = Path(options["imagenet"])
    labels = list_images(options)
    published = any("/" not in path for path in labels)
    return [*(list(_devkit_files(options)) if published else []), *(folder / path for path in labels)]


def frame(pixels: np.ndarray, size: int, crop_share: float, interpolation: str) -> np.ndarray:
    """uint8 (size, size, 3): the middle of an image (H, W, 3) whose shorter side was scaled to size / crop_share.

    Rounds as torchvision's Resize and CenterCrop, with which classifiers of ImageNet are evaluated.
    """
    height, width = pixels.shape[:2]
    shorter = floor(size / crop_share)
    longer = int(shorter * max(height, width) / min(height, width))
    scaled = (shorter, longer) if height <= width else (longer, shorter)
    image = Image.fromarray(pixels).resize(scaled[::-1], INTERPOLATIONS[interpolation])
    top, left = (round((side - size) / 2) for side in scaled)
    return np.asarray(image)[top : top + size, left : left + size].copy()


def list_images(options: Mapping) -> dict[str, int]:
    """The number of the class of each image of the chosen classes, by its path in the folder; sorted by path.

    options: with all defaults. UserError where a chosen class has no images, or an image has no known class.
    """
    folder = Path(options["imagenet"])
    if not folder.is_dir():
        raise UserError(
            f"the folder {folder} does not exist; set dataset.imagenet to the folder of ImageNet's validation images."
        )
    chosen = options["classes"]
    wanted = set(range(len(wordnet_ids())) if chosen is None else class_numbers(chosen, "dataset.classes"))
    entries = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if any(WORDNET_ID.fullmatch(name) for name in entries):
        labels = _in_class_folders(folder, entries, wanted)
    elif any(map(PUBLISHED_NAME.fullmatch, entries)):
        labels = _as_published(folder, entries, wanted, options)
    else:
        raise UserError(
            f"the folder {folder} holds neither folders named by WordNet ids, such as n01440764, nor files such as"
            " ILSVRC2012_val_00000001.JPEG; unpack ILSVRC2012_img_val.tar there."
        )
    missing = sorted(wanted - set(labels.values()))
    if missing and (chosen is not None or not labels):
        first = missing[0]
        raise UserError(
            f"the folder {folder} has no images of {len(missing)} of the {len(wanted)} chosen classes, for example"
            f" {class_names()[first]} ({wordnet_ids()[first]}); add them, or leave them out of dataset.classes."
        )
    return labels


def _in_class_folders(folder: Path, entries: list[str], wanted: set[int]) -> dict[str, int]:
    known = {wordnet_id: number for number, wordnet_id in enumerate(wordnet_ids())}
    labels = {}
    for name in entries:
        if WORDNET_ID.fullmatch(name) and name not in known:
            raise UserError(f"the folder {folder / name} is none of the 1,000 classes of ImageNet; move it elsewhere.")
        if known.get(name) in wanted:
            images = filter(files.is_image, files.list_files(folder / name))
            labels |= {f"{name}/{path}": known[name] for path in images}
    return labels


def _as_published(folder: Path, entries: list[str], wanted: set[int], options: Mapping) -> dict[str, int]:
    numbers = _ground_truth(options)
    images = {int(found[1]): name for name in entries if (found := PUBLISHED_NAME.fullmatch(name))}
    if max(images) > len(numbers):
        raise UserError(
            f"{_devkit_files(options)[1]} tells the classes of {len(numbers):,} images, but {folder} has"
            f" {images[max(images)]}; take the devkit that belongs to these images."
        )
    return {name: numbers[place - 1] for place, name in sorted(images.items()) if numbers[place - 1] in wanted}


def _devkit_files(options: Mapping) -> tuple[Path, Path]:
    """meta.mat and the ground truth, where they are or should be."""
    devkit = Path(options["devkit"] or Path(options["imagenet"]).parent / DEVKIT)
    folder = devkit if (devkit / GROUND_TRUTH).is_file() else devkit / "data"
    return folder / "meta.mat", folder / GROUND_TRUTH


def _ground_truth(options: Mapping) -> list[int]:
    """The number of the class of each published image, in the order of their names."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    meta, truth = _devkit_files(options)
    for path in (meta, truth):
        if not path.is_file():
            raise UserError(
                f"{path} does not exist, which tells the classes of the images in {options['imagenet']}; unpack"
                f" {DEVKIT}.tar.gz and set dataset.devkit to the folder {DEVKIT}."
            )
    try:
        synsets = np.atleast_1d(loadmat(meta, squeeze_me=True)["synsets"])
        by_id = dict(zip(synsets["ILSVRC2012_ID"].tolist(), synsets["WNID"].tolist(), strict=True))
        told = [by_id[int(line)] for line in truth.read_text(encoding="utf-8").split()]
    except (MatReadError, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{meta} and {truth} are not those of {DEVKIT} ({error!r}); unpack it again.") from None
    known = {wordnet_id: number for number, wordnet_id in enumerate(wordnet_ids())}
    if unknown := sorted(set(told) - set(known)):
        raise UserError(f"{meta} names the class {unknown[0]}, which is none of ImageNet's; unpack {DEVKIT} again.")
    return [known[wordnet_id] for wordnet_id in told]


def _image_id(path: str) -> str:
    name = path.rpartition("/")[2]
    return safe_id(name if PUBLISHED_NAME.fullmatch(name) else path)
