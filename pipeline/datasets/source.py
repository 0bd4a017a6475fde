"""What every dataset is to the rest of the pipeline: candidate ids in order, and a way to read each of them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

LONGEST_ID = 120

# x0, y0, x1, y1 in pixels from the upper left corner of the image as stored; x1 and y1 lie outside the box.
Box = tuple[float, float, float, float, str]


@dataclass(frozen=True)
class Sample:
    """One image with everything that is known about it.

    image: uint8 (H, W, 3), or None when the file is broken; then `reason` says why.
    attributes: the class index of every task, None where it is not known. concepts, nuisance, seed: of rendered images.
    parts: per concept, bool (H, W). boxes: (x0, y0, x1, y1, label) in pixels of `image`.
    """

    image_id: str
    image: np.ndarray | None
    reason: str | None = None
    attributes: dict[str, int | None] = field(default_factory=dict)
    caption: str | None = None
    concepts: dict[str, int] | None = None
    nuisance: dict[str, float] | None = None
    parts: dict[str, np.ndarray] = field(default_factory=dict)
    boxes: list[Box] = field(default_factory=list)
    seed: int | None = None


@dataclass(frozen=True)
class Source:
    """The candidates of one split.

    name: what a message calls it. tasks: class names by task. ids: unique image ids in the order in which they are
    sampled; can be iterated again and again, lazily. labels: the class index of every task, without decoding the image.
    read: decodes or renders one image; a broken one comes back with a reason, never as an exception.
    """

    name: str
    tasks: dict[str, tuple[str, ...]]
    ids: Iterable[str]
    labels: Callable[[str], dict[str, int | None]]
    read: Callable[[str], Sample]
    endless: bool = False


@dataclass(frozen=True)
class Lazily:
    """An iterable that starts its iterator anew each time."""

    start: Callable[[], Iterator[str]]

    def __iter__(self) -> Iterator[str]:
        return self.start()


def in_order(image_ids: Iterable[str], seed: int) -> list[str]:
    """The ids in a random order in which adding images never moves the others: an id's place is a hash of seed and id.

    So the first n of a folder with one more image are the earlier first n, or all of these but one and the new image.
    """
    return sorted(image_ids, key=lambda image_id: _digest(f"{seed}:{image_id}"))


def safe_id(path: str) -> str:
    """An id of letters, digits, ".", "_" and "-" for a relative path such as "cats/01.jpg": "cats--01.jpg".

    Different paths have different ids, whatever other files there are: a path that this spelling cannot express
    (spaces, accents, dashes where folders join, very long names) gets "~" and a hash of the path at its end.
    """
    plain = path.replace("/", "--")
    parts = path.split("/")
    if len(plain) <= LONGEST_ID and all(re.fullmatch(r"[A-Za-z0-9._]+(-[A-Za-z0-9._]+)*", part) for part in parts):
        return plain
    spelled = re.sub(r"[^A-Za-z0-9._-]+", "_", plain)[:LONGEST_ID]
    return f"{spelled}~{_digest(path)[:12]}"


def _digest(text: str) -> str:
    # File names that are not valid text still have an id.
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
