"""Pictures of the tables as part of the page."""

import base64
import io
import math
from dataclasses import dataclass

from PIL import Image

SMALLEST, LARGEST = 96, 256  # sides on the page in CSS pixels


@dataclass(frozen=True)
class Picture:
    """A picture as the page shows it: data URI, width in CSS pixels, and whether it is enlarged."""

    source: str
    width: int
    enlarged: bool


def picture(png: bytes) -> Picture:
    """Show a PNG at a whole multiple of its size that is large enough to see; make a large one smaller."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        width, side = image.width, max(image.size)
        if side > LARGEST:
            image.thumbnail((LARGEST, LARGEST))
            buffer = io.BytesIO()
            image.save(buffer, format="PNG")
            png, width = buffer.getvalue(), image.width
    times = max(1, math.ceil(SMALLEST / side))
    return Picture(f"data:image/png;base64,{base64.b64encode(png).decode()}", times * width, times > 1)
