"""The direction of a labelled attribute, by a line that tells codes apart (DiffAE; Preechakul et al. 2022)."""

import torch

from pipeline.explain.directions import Around, Direction, NoDirection, NoiseOf, unit_vector

PURPOSE = "linear-direction"


def find(around: Around, *, noise: NoiseOf, regularisation: float = 1.0) -> list[Direction]:
    """Towards the labels of the target class, by a logistic regression on codes that are scaled to deviation 1.

    It looks at labels and at no classifier, save for the choice of the target. regularisation: the penalty of the
    weights. Raises NoDirection where there are no labels of the target, or no others.
    """
    from sklearn.linear_model import LogisticRegression

    known = None if around.labels is None else around.labels >= 0
    is_target = None if known is None else around.labels[known] == around.target
    if known is None or not is_target.any() or is_target.all():
        raise NoDirection(
            f"a direction of labels needs images of the split search with the label {around.target} and with others;"
            " raise `images`, use a dataset with labels of the classifier's task, or leave the method out"
        )
    codes = around.semantic[known].double()
    mean, deviation = codes.mean(0), codes.std(0).clamp(min=1e-12)
    scaled = (codes - mean) / deviation
    weights = LogisticRegression(C=1 / regularisation, max_iter=1000).fit(scaled.numpy(), is_target.numpy()).coef_[0]
    return [Direction(unit_vector((torch.from_numpy(weights) * deviation).float()), "linear", 0)]
