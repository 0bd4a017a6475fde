"""Control maps: what a map has to beat before it is said to find anything, and the ceiling.

None explains the decision on its image. Parts lie at similar places in all images, so that a map that never looks at
the image, or one made for another image, can rank the right pixels high.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from pipeline.noise import Noise

RANDOM, CENTRED, OTHER, CEILING = "random map", "centred map", "another image's map", "the truth"
CONTROLS = (RANDOM, CENTRED, OTHER)
PURPOSE = "random-map"  # the stream of the method `random`, which draws the same maps
WIDTH = 1 / 8  # standard deviation of the centred map, as a share of each side: most lies in the middle half


def contenders(
    maps: Iterable[tuple[str, np.ndarray]],
    image_ids: Sequence[str],
    positives: np.ndarray | None,
    size: tuple[int, int],
    seed: int,
) -> Iterator[tuple[str | None, str | None, np.ndarray]]:
    """Method, control and maps (N, h, w) of all that is scored: what methods drew, then what stands in their place.

    maps: each method with those that it drew. positives: the pixels (N, H, W) that matter, if that is known. Another
    image's map is a control of its method; the others are of none.
    """
    for method, drawn in maps:
        yield method, None, drawn
        if len(image_ids) > 1:
            yield method, OTHER, drawn[other_images(image_ids)]
    yield None, RANDOM, random_maps(Noise(seed, image_ids, PURPOSE), size)
    yield None, CENTRED, centred_maps(len(image_ids), size)
    if positives is not None:
        yield None, CEILING, positives.astype(np.float32)


def random_maps(noise: Noise, size: tuple[int, int]) -> np.ndarray:
    """Uniform noise (N, H, W) in (0, 1), from the stream of each image."""
    return noise.uniform(0, size).cpu().numpy()


def centred_maps(count: int, size: tuple[int, int]) -> np.ndarray:
    """The same Gaussian around the centre for each of the images: (N, H, W) float32, in (0, 1]."""
    height, width = (np.exp(-(((np.arange(side) + 0.5) / side - 0.5) ** 2) / (2 * WIDTH**2)) for side in size)
    return np.repeat(np.outer(height, width)[None], count, axis=0).astype(np.float32)


def other_images(image_ids: Sequence[str]) -> np.ndarray:
    """The position (N,) of the image whose map stands in for that of each: the next by id, after the last the first."""
    order = np.argsort(np.array(image_ids))
    following = np.empty_like(order)
    following[order] = np.roll(order, -1)
    return following
