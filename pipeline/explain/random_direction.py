"""A direction that knows nothing, beside which others must stand: random, in the coordinates in which codes vary."""

from pipeline.explain.differences import basis_of
from pipeline.explain.directions import Around, Direction, NoiseOf

PURPOSE = "random-direction"


def find(around: Around, *, noise: NoiseOf) -> list[Direction]:
    """A direction in which codes vary as they do: normal along each axis, with its standard deviation. Asks nothing."""
    basis = basis_of(around.semantic)
    return [Direction(basis.direction(noise([0]).normal(0, (len(basis),))[0]), "random", 0)]
