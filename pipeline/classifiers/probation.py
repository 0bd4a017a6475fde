"""What only trying tells of a network: whether an image's answer is its own, and whether it is logits."""

import torch

from pipeline.classifiers.checks import check_logits
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError

SPREAD, LARGEST = 1e-2, 1e-4
"""Answers are equal that differ by at most these shares of how far their logits are apart, and of the largest: rounding
differs between batches, and most where a network works in half precision."""


@torch.no_grad()
def try_out(classifier: Classifier, images: torch.Tensor) -> None:
    """Ask a classifier about two images alone, together and twice; they have the shape of `images` (N, C, H, W).

    Raises UserError for answers that depend on the other image or on chance, and for outputs of another kind than said.
    """
    pair = two_images(images)
    outputs = classifier.first_outputs(classifier.prepare(pair))
    together = classifier.read(outputs)
    check_logits(classifier.name, together, classifier.classes)
    if classifier.sigmoid is None:
        check_kind(classifier, outputs[:, classifier.columns])
    if differ(together, answer(classifier, pair)):
        raise UserError(
            f"classifier '{classifier.name}' answered twice about the same images, and otherwise the second time; leave"
            " out what it draws at random, such as dropout that stays on: call `.eval()`, and give F.dropout its"
            " `training=self.training`."
        )
    if differ(together, alone(classifier, pair)):
        raise UserError(
            f"classifier '{classifier.name}' answers otherwise about an image if there is another one beside it, and"
            " must judge each by itself; call `.eval()` on all that it uses, and give BatchNorm running statistics"
            " (track_running_stats=True)."
        )


def two_images(like: torch.Tensor) -> torch.Tensor:
    """A dark and a bright image (2, C, H, W) of noise, so that no statistic of one is that of the other."""
    noise = torch.rand(2, *like.shape[1:], generator=torch.Generator().manual_seed(0))
    return torch.stack([noise[0] ** 3, 1 - noise[1] / 3]).to(like)


def answer(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    return classifier.read(classifier.network(classifier.prepare(images)))


def alone(classifier: Classifier, images: torch.Tensor) -> torch.Tensor:
    """The answers about each image by itself; without numbers where BatchNorm refuses one that has no others."""
    try:
        return torch.cat([answer(classifier, image) for image in images.split(1)])
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        return torch.full((len(images), len(classifier.classes)), torch.nan).to(images)


def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether logits (N, K) differ by more than rounding."""
    spread = (one - one.mean(dim=1, keepdim=True)).abs().max()
    return not (one - other).abs().max() <= SPREAD * spread + LARGEST * one.abs().max()


def check_kind(classifier: Classifier, outputs: torch.Tensor) -> None:
    """Outputs (N, K) must be probabilities if they are said to be, and must not look like them if not."""
    found = all(are_probabilities(outputs[:, head.columns]) for head in classifier.heads.values())
    if found and not classifier.probabilities:
        raise UserError(
            f"classifier '{classifier.name}' gave outputs in [0, 1] that sum to 1, as after a softmax, and is read as"
            " giving logits; say `output: probabilities`, or return what it has before the softmax."
        )
    if classifier.probabilities and not found:
        raise UserError(
            f"classifier '{classifier.name}': output is probabilities, but its outputs are not all in [0, 1] with sum 1"
            f" (first: {[round(value, 3) for value in outputs[0, :5].tolist()]}); leave `output` out where they are"
            " logits."
        )


def are_probabilities(outputs: torch.Tensor) -> bool:
    """Whether each row of outputs (N, K) is in [0, 1] and sums to 1, to rounding in half precision."""
    within = ((outputs >= -1e-6) & (outputs <= 1 + 1e-3)).all()
    return bool(within and ((outputs.sum(dim=1) - 1).abs() <= 1e-3).all())
