"""One random stream per (seed, image_id, purpose, sample, step).

A stream is named by what it is for, never by when or beside what it is drawn: so an image gets the same noise at any
batch size, in any order and on any device, and two methods that name the same purpose share their noise.
"""

import copy
import hashlib
import json
import numbers
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Self

import numpy

if TYPE_CHECKING:
    import torch

LARGEST_WORD = 2**64 - 1


def stream(seed: int, image_id: str, purpose: str, sample: int = 0, step: int = 0) -> numpy.random.Generator:
    """Return the random generator of one image, purpose, sample and step.

    (seed, image_id, purpose) choose the 128-bit key of Philox, sample and step the two upper words of its 256-bit
    counter: each stream has 2^128 blocks of its own, so no two overlap. sample and step lie in 0 .. 2^64 - 1.
    """
    return _generator(_key(seed, image_id, purpose), sample, step)


class Noise:
    """The noise of a batch of images for one purpose: row i belongs to image_ids[i] and samples[i].

    samples: one number per image, or one for all. Every draw is made on the CPU, image by image, and then moved, so
    that values are the same on every device. Objects never change: `select`, `to` and `for_purpose` return new ones.
    """

    def __init__(self, seed: int, image_ids: Sequence[str], purpose: str, samples: Sequence[int] | int = 0):
        self.seed = seed
        self.image_ids = tuple(image_ids)
        self.purpose = purpose
        self.samples = (samples,) * len(self.image_ids) if isinstance(samples, numbers.Integral) else tuple(samples)
        self.device: torch.device | str = "cpu"
        if len(self.samples) != len(self.image_ids):
            raise ValueError(f"{len(self.samples)} samples for {len(self.image_ids)} images; give one per image")
        self._keys = [_key(seed, image_id, purpose) for image_id in self.image_ids]

    def __len__(self) -> int:
        return len(self.image_ids)

    def normal(self, step: int, shape: Sequence[int]) -> "torch.Tensor":
        """Standard normal noise of one step: float32 (N, *shape)."""
        return self._stacked(step, lambda generator: generator.standard_normal(tuple(shape), dtype=numpy.float32))

    def uniform(self, step: int, shape: Sequence[int]) -> "torch.Tensor":
        """Uniform noise of one step in the open interval (0, 1), so that its logit is finite: float32 (N, *shape)."""
        return self._stacked(step, lambda generator: _open_uniform(generator, tuple(shape)))

    def select(self, index: "Sequence[int] | slice | torch.Tensor | numpy.ndarray") -> Self:
        """Return the noise of the rows at `index`: a slice, positions (repeats allowed), or one bool per row."""
        rows = _positions(index, len(self))
        selected = copy.copy(self)
        selected.image_ids = tuple(self.image_ids[row] for row in rows)
        selected.samples = tuple(self.samples[row] for row in rows)
        selected._keys = [self._keys[row] for row in rows]
        return selected

    def to(self, device: "torch.device | str") -> Self:
        """Return the same noise, delivered on `device`."""
        moved = copy.copy(self)
        moved.device = device
        return moved

    def for_purpose(self, purpose: str) -> "Noise":
        """Return the noise of the same images and samples for another purpose of the same algorithm."""
        return Noise(self.seed, self.image_ids, purpose, self.samples).to(self.device)

    def _stacked(self, step: int, draw: Callable[[numpy.random.Generator], numpy.ndarray]) -> "torch.Tensor":
        import torch

        if not self.image_ids:
            raise ValueError("no image to draw noise for")
        drawn = [draw(_generator(key, sample, step)) for key, sample in zip(self._keys, self.samples, strict=True)]
        return torch.from_numpy(numpy.stack(drawn)).to(self.device)


def _positions(index: "Sequence[int] | slice | torch.Tensor | numpy.ndarray", length: int) -> Sequence[int]:
    if isinstance(index, slice):
        return range(length)[index]
    positions = index if isinstance(index, Sequence) else index.tolist()
    if any(isinstance(position, bool) for position in positions):
        return [row for row, kept in zip(range(length), positions, strict=True) if kept]
    return positions


def _key(seed: int, image_id: str, purpose: str) -> numpy.ndarray:
    """128 bits that no two (seed, image_id, purpose) share, as two words."""
    name = json.dumps([int(seed), str(image_id), str(purpose)]).encode()
    return numpy.frombuffer(hashlib.blake2b(name, digest_size=16).digest(), dtype="<u8")


def _generator(key: numpy.ndarray, sample: int, step: int) -> numpy.random.Generator:
    if not (0 <= step <= LARGEST_WORD and 0 <= sample <= LARGEST_WORD):
        raise ValueError(f"sample {sample} and step {step} must be 0 or more")
    return numpy.random.Generator(numpy.random.Philox(key=key, counter=numpy.array([0, 0, step, sample], numpy.uint64)))


def _open_uniform(generator: numpy.random.Generator, shape: tuple[int, ...]) -> numpy.ndarray:
    """The midpoints of 2^23 equal cells of (0, 1): with one bit more, the last midpoint would round to 1."""
    cells = numpy.float32(2**23)
    return (numpy.floor(generator.random(shape, dtype=numpy.float32) * cells) + numpy.float32(0.5)) / cells
