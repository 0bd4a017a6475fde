"""Which class an image is to be changed to, from the class that is explained and what the classifier says of images.

Each takes the classes that are explained, (N,) indices, and logits (N, K), and returns the target of each image (N,).
"""

from collections.abc import Callable

import torch
from torch import Tensor


def next_class(explained: Tensor, logits: Tensor) -> Tensor:
    """The class after the one that is explained, the first after the last."""
    return (explained + 1) % logits.shape[1]


def second_best(explained: Tensor, logits: Tensor) -> Tensor:
    """The likeliest class of each image but the one that is explained; the first of equal ones."""
    return logits.scatter(1, explained[:, None], -torch.inf).argmax(1)


def most_confused(explained: Tensor, logits: Tensor) -> Tensor:
    """The class that images of the class that is explained are likeliest taken for: the highest mean probability.

    The mean is over all images given with that class, so what comes out depends on all of them: give those of the whole
    study, and name the class that was chosen in whatever is kept.
    """
    shares = logits.double().softmax(1)
    sums = shares.new_zeros(logits.shape[1], logits.shape[1]).index_add(0, explained, shares)
    return sums.fill_diagonal_(-1).argmax(1)[explained]


TARGETS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "next": next_class,
    "second-best": second_best,
    "most-confused": most_confused,
}
