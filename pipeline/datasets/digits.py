"""The handwritten digits of scikit-learn: 1,797 real scans of 8 x 8 pixels with 17 grey levels, without a download."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.datasets.source import Lazily, Sample, Source, in_order
from pipeline.datasets.splits import check_shares, check_split, split_of
from pipeline.datasets.transform import Transform, transform_image
from pipeline.errors import UserError
from pipeline.images import content

COLLECTIONS = ("scikit-learn",)
BRIGHTEST = 16
CLASSES = tuple("0123456789")


def read(options: Mapping, split: str, seed: int) -> Source:
    """The digits of one split, white on black in three equal channels, bilinearly scaled to `size` (None: 8 pixels).

    The task is `digit`. An image's id is its place in scikit-learn's list; its split is a hash of its pixels.
    """
    if options["digits"] not in COLLECTIONS:
        raise UserError(f'dataset.digits is "{options["digits"]}"; the only digits there are is scikit-learn.')
    check_split(split)
    shares = check_shares(options["shares"])
    plan = Transform.from_options({**options, "resize": "stretch"})
    images, digits = _load()
    index = {f"digits-{position:04d}": position for position in range(len(images))}

    def ids() -> Iterator[str]:
        return (
            image_id
            for image_id in in_order(index, seed)
            if split_of(content(images[index[image_id]]), shares) == split
        )

    def labels(image_id: str) -> dict[str, int | None]:
        return {"digit": int(digits[index[image_id]])}

    def read_image(image_id: str) -> Sample:
        grey = images[index[image_id]]
        pixels = transform_image(np.repeat(grey[:, :, None], 3, axis=2), plan)
        known = labels(image_id)
        return Sample(image_id, pixels, attributes=known, caption=f"a handwritten {CLASSES[known['digit']]}")

    return Source(f"the digits of scikit-learn (split {split})", {"digit": CLASSES}, Lazily(ids), labels, read_image)


def manifest(options: Mapping) -> str:
    """The digits come with scikit-learn and never change: their manifest is empty."""
    return "[]\n"


def _load() -> tuple[np.ndarray, np.ndarray]:
    """uint8 (1797, 8, 8) scaled from 0..16 to 0..255, and the digits (1797,)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.round(digits.images * (255 / BRIGHTEST)).astype(np.uint8), digits.target
