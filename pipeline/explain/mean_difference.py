"""The difference between the mean codes of the images that a classifier decides for a class, and of the others."""

from pipeline.explain.directions import Around, Direction, NoDirection, NoiseOf, unit_vector

PURPOSE = "mean-difference"


def find(around: Around, *, noise: NoiseOf) -> list[Direction]:
    """From the images taken for the source's class to those taken for the target. Asks nothing more of the classifier.

    Raises NoDirection where no image is taken for the target.
    """
    decided = around.logits.argmax(1)
    if not (decided == around.target).any():
        raise NoDirection(
            f"none of the {len(decided)} images of the split search is decided for class {around.target}, to which the"
            " direction is to lead; raise `images`, or choose another target"
        )
    means = [around.semantic[decided == label].mean(0) for label in (around.target, around.origin)]
    return [Direction(unit_vector(means[0] - means[1]), "mean-difference", 0)]
