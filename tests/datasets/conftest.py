from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save_image():
    """Write an image of one colour (or the given pixels) to a path, with its folders."""

    def save(path: Path, colour=(200, 100, 50), size=(8, 8), pixels=None, **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels) if pixels is not None else Image.new("RGB", size, colour)
        image.save(path, **options)
        return path

    return save


@pytest.fixture
def pets(tmp_path, save_image):
    """Twelve different images in the folders cats and dogs."""
    noise = np.random.default_rng(0)
    for index in range(12):
        pixels = noise.integers(0, 256, (8, 8, 3), np.uint8)
        save_image(tmp_path / "pets" / ("cats" if index % 2 else "dogs") / f"{index:02d}.png", pixels=pixels)
    return tmp_path / "pets"
