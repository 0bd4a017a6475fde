"""A small ImageNet in the layout of the published one: the files of the validation set, and the devkit."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from pipeline.imagenet import wordnet_ids

FIELDS = ("ILSVRC2012_ID", "WNID", "words", "gloss", "num_children", "children", "wordnet_height", "num_train_images")


def own_numbers() -> dict[str, int]:
    """The numbers 1 to 1,000 of the devkit by WordNet id: in another order than the classes'."""
    order = np.random.default_rng(2012).permutation(1000)
    return {wordnet_ids()[number]: place + 1 for place, number in enumerate(order.tolist())}


def write_devkit(folder: Path, labels: list[int]) -> Path:
    """The devkit whose ground truth says these classes, of images 1, 2, ...; its synsets also hold two inner nodes."""
    numbers = own_numbers()
    leaves = [(numbers[each], each, "words", "gloss", 0, [], 0, 1300) for each in wordnet_ids()]
    inner = [(1001 + place, f"n0000{place}000", "words", "gloss", 2, [1, 2], 3, 0) for place in (1, 2)]
    synsets = np.zeros(len(leaves) + len(inner), [(field, object) for field in FIELDS])
    for place, values in enumerate([*sorted(leaves), *inner]):
        synsets[place] = values
    data = folder / "ILSVRC2012_devkit_t12" / "data"
    data.mkdir(parents=True)
    savemat(data / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    lines = [str(numbers[wordnet_ids()[label]]) for label in labels]
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("\n".join(lines) + "\n")
    return data.parent


def write_imagenet(folder: Path, images: Mapping[int, int], shape: tuple[int, int] = (40, 60)) -> Path:
    """As many noisy photographs of each class as asked for, numbered in turns, and the devkit beside them."""
    waiting = [number for count in range(max(images.values())) for number, wanted in images.items() if count < wanted]
    write_devkit(folder, waiting)
    photographs = folder / "val"
    photographs.mkdir()
    noise = np.random.default_rng(3)
    for place, number in enumerate(waiting, start=1):
        colour = np.array([number % 256, number // 4 % 256, 128])
        pixels = np.clip(colour + noise.normal(0, 40, (*shape, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(photographs / f"ILSVRC2012_val_{place:08d}.JPEG")
    return photographs


def sort_into_folders(photographs: Path, images: Mapping[str, int], folder: Path) -> Path:
    """The same files in a folder for each class. images: class numbers by file name."""
    for name, number in images.items():
        (folder / wordnet_ids()[number]).mkdir(parents=True, exist_ok=True)
        (folder / wordnet_ids()[number] / name).write_bytes((photographs / name).read_bytes())
    return folder
