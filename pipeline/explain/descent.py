"""Optimise one small parameter for each of many images, a fixed number of images at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from pipeline.errors import UserError

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Descent:
    """How to descend by Adam (Kingma & Ba 2015).

    steps: gradient steps for each image. decays: whether the rate falls linearly to 0, being
    learning_rate * (1 - t / steps) at step t = 0 .. steps - 1, and so above 0 at the last step too (the official code
    steps its scheduler first, so that on current torch its last step has rate 0).
    """

    steps: int
    learning_rate: float
    decays: bool = True

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}; use 1 or more, such as 300")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}; use a number above 0, such as 0.05")

    def rate(self, step: int) -> float:
        """The learning rate of step 0 .. steps - 1."""
        return self.learning_rate * (1 - step / self.steps if self.decays else 1.0)


class Optimised(NamedTuple):
    """parameters (N, h, w); objective (N,) at the last step."""

    parameters: torch.Tensor
    objective: torch.Tensor


def optimise(
    initial: torch.Tensor,
    load: Callable[[list[int]], Loaded],
    gradient: Callable[[Loaded, torch.Tensor, int], tuple[torch.Tensor, torch.Tensor]],
    descent: Descent,
    *,
    side_by_side: int,
    bounds: tuple[float, float],
    progress: Callable[[int], object] = lambda images: None,
) -> Optimised:
    """Minimise one objective for each of N images.

    initial: (N, h, w) the first parameters, on the device to compute on.
    load: takes the images that are side by side (positions 0 .. N - 1) and returns what `gradient` needs of them; the
        last one fills up a short batch, so that shapes never change.
    gradient: takes that, parameters (S, h, w) and the step 0 .. steps - 1; returns the gradient (S, h, w) and the
        objective (S,), in which an image never depends on the others.
    bounds: parameters are clipped to these after each step.
    progress: called with the number of images just finished.
    """
    found, objectives = torch.empty_like(initial), initial.new_empty(len(initial))
    for start in range(0, len(initial), side_by_side):
        rows = [min(start + place, len(initial) - 1) for place in range(side_by_side)]
        loaded, parameters = load(rows), initial[rows].requires_grad_()
        adam = torch.optim.Adam([parameters])
        for step in range(descent.steps):
            parameters.grad, objective = gradient(loaded, parameters, step)
            adam.param_groups[0]["lr"] = descent.rate(step)
            adam.step()
            parameters.detach().clamp_(*bounds)
        kept = min(side_by_side, len(initial) - start)
        found[start : start + kept] = parameters.detach()[:kept]
        objectives[start : start + kept] = objective[:kept]
        progress(kept)
    return Optimised(found, objectives)


def warm_up_weight(step: int, warm_up: int) -> float:
    """The weight of a regulariser at step 0, 1, ...: from exactly 0 to 1 over `warm_up` steps; 1 if there are none."""
    return min(step / warm_up, 1.0) if warm_up else 1.0
