"""Auto-Frank-Wolfe: maximise over an l_p ball around an image, cut by the box of valid pixels (Boreiko et al. 2022).

Every point on the way is a mean of points of that set, so nothing is ever projected. Where to go is the exact maximum
of a linear function over the set, how far is decided for each image by how its last steps have done.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.explain.masking import check_word

PATIENCE = 0.75  # share of the steps since the last check that must have improved on the step before
SIZES = {"decaying": (2.0, 0.75), "constant": (0.75, 0.5)}
"""The first size of a step, and what it is multiplied by where the steps do badly."""


def maximise(
    objective: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    *,
    radius: float,
    norm: float,
    iterations: int,
    step_size: str = "decaying",
) -> Tensor:
    """The best of the images (N, ...) that each image finds in its ball; every row is maximised by itself.

    objective: maps images (N, ...) to numbers (N,), one per image and independent of the others.
    images: (N, ...) in [0, 1], the centres; start: (N, ...) in [0, 1] and in the balls.
    radius, norm: the ball is ||x' - x||_norm <= radius over all pixels and channels; norm above 1.
    step_size: step i = 0, 1, ... goes the share a / (sqrt(i) + 2) of the way ("decaying", from a = 2), or a
        ("constant", from a = 0.75). Where steps do badly a falls to three quarters or to one half of itself, and the
        image goes back to its best point. That is checked after 22 % of the iterations, then ever more often (Croce &
        Hein 2020): steps do badly for an image if at most 75 % of those since the last check improved on the one
        before, or if a was kept at the last check and the best has not improved since. The first step ("decaying": all
        the way, so that nothing is left of the start but the gradient there) counts if it improves on the start; the
        official code compares it with an entry of its record that is still 0, above every log-likelihood, so that
        there it never counts.

    Costs iterations + 1 evaluations of the objective, all but the last with a gradient.
    """
    check_word("step_size", step_size, SIZES)
    first, falls = SIZES[step_size]
    lengths = check_lengths(iterations)
    point = start
    value, slope = with_gradient(objective, point)
    best, best_value, best_slope = point, value, slope
    size, improved = torch.full_like(value, first), torch.zeros_like(value)
    checked_value, fell = best_value, torch.ones_like(value, dtype=torch.bool)
    for step in range(iterations):
        share = size / (step**0.5 + 2) if step_size == "decaying" else size
        point = torch.lerp(point, furthest(images, slope, radius, norm), spread(share, point))
        last = step == iterations - 1
        before, (value, slope) = value, (objective(point).detach(), slope) if last else with_gradient(objective, point)
        improved = improved + (value > before)
        better = value > best_value
        best, best_slope = choose(better, point, best), choose(better, slope, best_slope)
        best_value = torch.maximum(value, best_value)
        if step in lengths:
            fell = doing_badly(improved, lengths[step], fell, best_value > checked_value)
            size = torch.where(fell, size * falls, size)
            point, slope = choose(fell, best, point), choose(fell, best_slope, slope)
            value = torch.where(fell, best_value, value)
            checked_value, improved = best_value, torch.zeros_like(improved)
    return best


def furthest(images: Tensor, direction: Tensor, radius: float, norm: float) -> Tensor:
    """The images (N, ...) furthest along `direction` (N, ...) in the balls around `images`, within [0, 1].

    The offset that maximises <direction, offset> is, pixel by pixel, min(room, (|direction| / mu)^(1 / (norm - 1)))
    along the sign of the direction, room being how far the pixel can go. Where the ball, not the box, is the limit, mu
    makes the norm of the offset the radius: pixels are sorted by the mu below which they use up their room, and the
    norm at each of these is known from cumulative sums, so that a bisection finds between which two mu lies. Exact to
    rounding (in float64); both limits hold. A pixel without direction stays.
    """
    start, along = images.flatten(1).double(), direction.flatten(1).double()
    pull = along.abs() / along.abs().amax(1, keepdim=True).clamp(min=torch.finfo(torch.float64).tiny)
    room = torch.where(along > 0, 1 - start, start) * (along != 0)
    conjugate, budget = norm / (norm - 1), torch.full_like(pull[:, :1], radius**norm)

    full_at = torch.where(room > 0, pull / room ** (norm - 1), torch.inf)
    thresholds, order = full_at.sort(dim=1, descending=True)
    room, pull = room.gather(1, order), pull.gather(1, order)
    nothing = torch.zeros_like(budget)
    filled = torch.cat([nothing, (room**norm).cumsum(1)], dim=1)
    pulls = torch.cat([(pull**conjugate).flip(1).cumsum(1).flip(1), nothing], dim=1)
    at_threshold = filled[:, 1:] + (pulls[:, 1:].log() - conjugate * thresholds.log()).exp()
    full = torch.searchsorted(at_threshold, budget, right=True)

    multiplier = (pulls.gather(1, full) / (budget - filled.gather(1, full))) ** (1 / conjugate)
    partly = torch.minimum(room, (pull / multiplier) ** (1 / (norm - 1)))
    offset = torch.where(torch.arange(room.shape[1], device=room.device) < full, room, partly)
    offset = offset * (radius / torch.linalg.vector_norm(offset, norm, dim=1, keepdim=True)).clamp(max=1)
    offset = torch.zeros_like(offset).scatter(1, order, offset) * along.sign()
    return (start + offset).clamp(0, 1).to(images.dtype).view_as(images)


def check_lengths(iterations: int) -> dict[int, int]:
    """The iterations after which step sizes are checked, each with the number of iterations since the last check."""
    length, shorter = max(int(0.22 * iterations), 1), max(int(0.03 * iterations), 1)
    shortest, lengths, step = max(int(0.06 * iterations), 1), {}, -1
    while step + length < iterations:
        step += length
        lengths[step] = length
        length = max(length - shorter, shortest)
    return lengths


def doing_badly(improved: Tensor, length: int, fell: Tensor, better: Tensor) -> Tensor:
    """Whether the steps since the last check call for shorter ones, bool (N,).

    improved: (N,) how many of these `length` steps improved on the one before. fell: bool (N,), whether steps became
    shorter at the last check; better: bool (N,), whether the best has improved since.
    """
    return (improved <= PATIENCE * length) | (~fell & ~better)


def with_gradient(objective: Callable[[Tensor], Tensor], images: Tensor) -> tuple[Tensor, Tensor]:
    """The objective (N,) and its gradient (N, ...) at images (N, ...)."""
    with torch.enable_grad():
        images = images.detach().requires_grad_()
        value = objective(images)
        (slope,) = torch.autograd.grad(value.sum(), images)
    return value.detach(), slope


def choose(which: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """Rows of `yes` (N, ...) where `which` (N,) holds, of `no` elsewhere."""
    return torch.where(spread(which, yes), yes, no)


def spread(numbers: Tensor, like: Tensor) -> Tensor:
    """Numbers (N,) with as many dimensions as `like` (N, ...)."""
    return numbers.view(-1, *[1] * (like.ndim - 1))
