"""Rows of tables, made by hand."""

import numpy
import pytest

from pipeline.images import encode_png
from pipeline.tables import write_table


def picture(row, size=8):
    pixels = numpy.random.default_rng(row).integers(0, 256, (size, size, 3), dtype=numpy.uint8)
    return {"bytes": encode_png(pixels), "path": None}


@pytest.fixture(scope="session")
def image():
    """Make a row of the table images in which every column has a value."""
    mask = encode_png(numpy.zeros((8, 8), numpy.uint8))

    def make(row, **changes):
        return {
            "row_id": f"image-{row}",
            "image_id": f"image-{row}",
            "status": "ok",
            "reason": None,
            "image": picture(row),
            "content": f"{row:064x}",
            "height": 8,
            "width": 8,
            "split": "test",
            "attributes": {"smile": row % 2, "unknown": None},
            "caption": "a face",
            "concepts": {"smile": row % 2},
            "parts": [{"concept": "smile", "mask": mask}],
            "boxes": [{"x0": 0.0, "y0": 1.0, "x1": 2.5, "y1": 3.0, "label": "face"}],
            "seed": 7,
            "nuisance": {"light": row / 4},
            **changes,
        }

    return make


@pytest.fixture(scope="session")
def prediction():
    """Make a row of the table predictions."""

    def make(row, **changes):
        return {
            "row_id": f"cnn/image-{row}",
            "image_id": f"image-{row}",
            "classifier": "cnn",
            "status": "ok",
            "source": "images",
            "source_row_id": f"image-{row}",
            "task": "smile",
            "logits": [0.5, row],
            "predicted": 1,
            "confidence": 0.75,
            **changes,
        }

    return make


@pytest.fixture
def images(tmp_path, image):
    """A part of the table images: five images, and one that could not be read."""
    path = tmp_path / "images" / "part-000.parquet"
    broken = {"row_id": "broken", "image_id": "broken", "split": "test", "status": "failed"}
    rows = [*(image(row) for row in range(5)), {**broken, "reason": "the file is no image"}]
    write_table(path, "images", rows, {"stage": "sample", "options": {"size": 8}})
    return path
