"""How few steps a whole stride can leave of a schedule. Needs no torch."""

from pipeline.errors import UserError


def whole_stride(length: int, steps: int) -> int:
    """The smallest stride that takes so many steps of a schedule of that length, from the first on.

    Raises UserError, with the nearest number that there is, where no stride does.
    """
    strides = {len(range(0, length, stride)): stride for stride in range(length, 0, -1)}
    if steps not in strides:
        close = min(strides, key=lambda number: (abs(number - steps), number))
        raise UserError(f"{steps} steps do not divide a schedule of {length} by a whole stride; use {close}")
    return strides[steps]
