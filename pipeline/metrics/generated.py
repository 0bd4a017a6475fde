"""Are generated images like those that their generator learned from, and are they its own?

Readers (classifiers that name concepts) say what an image shows. Where two of them, that were trained apart, agree on
nearly every image, the images show the concepts as clearly as real ones do; and how often they show each value must be
what it is in the data. A generator that only repeats what it saw would pass too: so its images are held against their
nearest neighbours in the training images, as new real images are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.optimize import nnls

LEAST_AGREEMENT, LARGEST_DEVIATION = 0.95, 0.05


@dataclass(frozen=True)
class ConceptFigures:
    """What readers see of one concept.

    expected: share (K,) of each value in the training images. shares: by reader, the share (K,) of each value in the
    generated images, corrected for what the reader confuses. agreement: share of generated images on which all readers
    name the same value; None for a single reader.
    """

    values: tuple[str, ...]
    expected: np.ndarray
    shares: Mapping[str, np.ndarray]
    agreement: float | None

    @property
    def deviation(self) -> float:
        """Largest difference between a share and what is expected, over all values and readers."""
        return max(float(np.abs(share - self.expected).max()) for share in self.shares.values())

    @property
    def passes(self) -> bool:
        agreed = self.agreement is None or self.agreement >= LEAST_AGREEMENT
        return agreed and self.deviation <= LARGEST_DEVIATION


@dataclass(frozen=True)
class Neighbours:
    """Distances to the nearest training image, of generated images and of real ones that were not trained on.

    generated, fresh: (N,) each. nearest: index (N, k) of the nearest training images of each generated one.
    """

    generated: np.ndarray
    fresh: np.ndarray
    nearest: np.ndarray

    @property
    def median(self) -> tuple[float, float]:
        """Median distance of the generated and of the fresh images."""
        return float(np.median(self.generated)), float(np.median(self.fresh))

    @property
    def nearer(self) -> float:
        """Share of generated images that are nearer to a training image than the nearest 1 % of the fresh images.

        About 0.01 for images that are as much their own as real ones are; far more where training images come back.
        """
        return float((self.generated < np.quantile(self.fresh, 0.01)).mean())


@dataclass(frozen=True)
class Quality:
    """All that is measured of a generator.

    samples: how many images were drawn, in how many steps. concepts: by name, empty without readers. pixels, features:
    neighbours in either space; features None without a network of them. kernel_distance: to fresh real images;
    kernel_control: the same of as many training images. network: what the features are of.
    """

    samples: int
    steps: int
    pixels: Neighbours
    concepts: Mapping[str, ConceptFigures] = field(default_factory=dict)
    features: Neighbours | None = None
    kernel_distance: float | None = None
    kernel_control: float | None = None
    network: str | None = None

    @property
    def passes(self) -> bool | None:
        """Whether every concept passes; None where no reader looked."""
        return all(figures.passes for figures in self.concepts.values()) if self.concepts else None


def read_concept(
    values: tuple[str, ...],
    seen: Mapping[str, np.ndarray],
    known: Mapping[str, np.ndarray],
    truth: np.ndarray,
    expected: np.ndarray,
) -> ConceptFigures:
    """What readers see of a concept.

    seen: by reader, the value (N,) that it names in each generated image; known: likewise (M,) in real images, whose
    true values are truth (M,). expected: share (K,) of each value in the training images.
    """
    count = len(values)
    shares = {reader: calibrated_shares(read, confusion(truth, known[reader], count)) for reader, read in seen.items()}
    answers = np.stack(list(seen.values()))
    agreement = float((answers == answers[0]).all(0).mean()) if len(answers) > 1 else None
    return ConceptFigures(values, expected, shares, agreement)


def confusion(truth: np.ndarray, read: np.ndarray, values: int) -> np.ndarray:
    """Share (K, K) of the images of each true value (row) that are read as each value; unseen values count as read."""
    counts = np.zeros((values, values))
    np.add.at(counts, (truth, read), 1)
    counts[counts.sum(1) == 0] = np.eye(values)[counts.sum(1) == 0]
    return counts / counts.sum(1, keepdims=True)


def calibrated_shares(read: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """True share (K,) of each value, from what a reader names (N,) and what it confuses (K, K) (adjusted counts).

    The shares that, confused likewise, come nearest to those read, among all that are 0 or more and add up to 1.
    """
    observed = np.bincount(read, minlength=len(confusion)) / len(read)
    shares, _ = nnls(confusion.T, observed)
    return shares / shares.sum()


def find_neighbours(
    generated: torch.Tensor,
    fresh: torch.Tensor,
    seen: torch.Tensor,
    count: int = 3,
    progress: Callable[[int], object] | None = None,
) -> Neighbours:
    """Nearest training images of generated images (N, ...) and of fresh ones (M, ...), among those seen (T, ...).

    Images are uint8 or vectors of features; distance: root mean square over all numbers, of images in [0, 1].
    """
    distances, nearest = nearest_images(generated, seen, count, progress)
    of_fresh, _ = nearest_images(fresh, seen, 1, progress)
    return Neighbours(distances[:, 0], of_fresh[:, 0], nearest)


def nearest_images(
    images: torch.Tensor,
    others: torch.Tensor,
    count: int,
    progress: Callable[[int], object] | None = None,
    at_once: int = 1000,
) -> tuple[np.ndarray, np.ndarray]:
    """Distance and index (N, count) of the nearest others of each image, the nearest first."""
    count = min(count, len(others))
    queries = flattened(images)
    best = torch.full((len(images), count), torch.inf)
    index = torch.zeros((len(images), count), dtype=torch.long)
    for start in range(0, len(others), at_once):
        found = torch.cdist(queries, flattened(others[start : start + at_once]))
        places = torch.arange(start, start + found.shape[1]).expand(len(images), -1)
        best, order = torch.cat([best, found], 1).topk(count, largest=False)
        index = torch.cat([index, places], 1).gather(1, order)
        if progress is not None:
            progress(found.shape[1])
    return (best / queries.shape[1] ** 0.5).numpy(), index.numpy()


def flattened(images: torch.Tensor) -> torch.Tensor:
    """Images or features (N, D) in float32, bytes as numbers in [0, 1]."""
    rows = images.flatten(1)
    return rows.float() / 255 if rows.dtype == torch.uint8 else rows.float()
