"""Projected gradient descent in the L2 ball: the attack that robust networks are trained with and measured by."""

from collections.abc import Callable

import torch
from torch import Tensor


def attack_l2(
    loss: Callable[[Tensor], Tensor], images: Tensor, *, epsilon: float, steps: int, start: Tensor | None = None
) -> Tensor:
    """Raise each image's loss within an L2 ball (Madry et al. 2018, section 2.1, with L2 projection).

    loss: maps images (N, C, H, W) to losses (N,), one per image and independent of the others.
    images: (N, C, H, W) in [0, 1]; epsilon: radius of the ball, the root of the summed squares
        over all pixels and channels.
    start: optional offset (N, C, H, W) inside the ball to begin from.
    Returns attacked images (N, C, H, W) in [0, 1]. Costs `steps` forward and backward passes; each step is
    2.5 epsilon / steps long.
    """
    offset = torch.zeros_like(images) if start is None else start.clone()
    for _ in range(steps):
        offset.requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(images + offset).sum(), offset)
        with torch.no_grad():
            offset = offset + 2.5 * epsilon / steps * gradient / _lengths(gradient)
            offset = offset * (epsilon / _lengths(offset)).clamp(max=1)
            offset = (images + offset).clamp(0, 1) - images
    return (images + offset).detach()


def _lengths(offsets: Tensor) -> Tensor:
    return offsets.flatten(1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
