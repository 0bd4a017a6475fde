"""Optimise one small parameter for each of many images, a fixed number of images at a time.

Work is done in slots: the shape never changes, and the slot of a finished image is refilled by the next. The optimiser
is Adam (Kingma & Ba 2015, algorithm 1), written out because each slot needs moments and a step count of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch

from pipeline.errors import UserError

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8  # Adam's defaults, which the published codes leave as they are
CONVERGENCE_STEPS = 10  # steps over which a mask must stand still to have converged
VECTOR = 64  # numbers; no processor takes more at a time

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class Descent:
    """How to descend.

    steps: gradient steps for each image. learning_rate: of Adam. decays: whether the rate falls linearly to 0, being
    learning_rate * (1 - t / steps) at step t = 0 .. steps - 1, and so above 0 at the last step too (the official code
    steps its scheduler first, so that on current torch its last step has rate 0).
    tolerance: an image stops when no value of its mask moved by more than this in ten steps; 0 for never.
    warm_up: steps before which none stops.
    """

    steps: int
    learning_rate: float
    decays: bool = True
    tolerance: float = 0.0
    warm_up: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise UserError(f"steps is {self.steps}; use 1 or more, such as 300")
        if not self.learning_rate > 0:
            raise UserError(f"learning_rate is {self.learning_rate}; use a number above 0, such as 0.05")
        if not self.tolerance >= 0:
            raise UserError(f"tolerance is {self.tolerance}; use 0 (no early stop) or more, such as 0.01")

    def rate(self, step: int) -> float:
        """The learning rate of step 0 .. steps - 1."""
        return self.learning_rate * (1 - step / self.steps if self.decays else 1.0)


class Optimised(NamedTuple):
    """parameters (N, h, w); objective (N,) at the last step taken; steps (N,) int64."""

    parameters: torch.Tensor
    objective: torch.Tensor
    steps: torch.Tensor


def optimise(
    initial: torch.Tensor,
    load: Callable[[list[int]], Loaded],
    gradient: Callable[[Loaded, torch.Tensor, list[int]], tuple[torch.Tensor, torch.Tensor]],
    descent: Descent,
    *,
    slots: int,
    bounds: tuple[float, float],
    values: Callable[[torch.Tensor], torch.Tensor] = lambda parameters: parameters,
    progress: Callable[[int], object] = lambda images: None,
) -> Optimised:
    """Minimise one objective for each of N images.

    initial: (N, h, w) the first parameters, on the device to compute on.
    load: takes the image in each slot (positions 0 .. N - 1) and returns what `gradient` needs of them.
    gradient: takes that, parameters (slots, h, w) and the number of steps each slot has taken; returns the gradient
        (slots, h, w) and the objective (slots,), in which a slot never depends on the others.
    bounds: parameters are clipped to these after each step. values: what `tolerance` watches.
    progress: called with the number of images just finished.
    """
    result = Optimised(initial.clone(), initial.new_zeros(len(initial)), torch.zeros(len(initial), dtype=torch.int64))
    if len(initial) == 0:
        return result
    queue = iter(range(slots, len(initial)))
    active = [slot < len(initial) for slot in range(slots)]
    rows = [min(slot, len(initial) - 1) for slot in range(slots)]
    taken = [0] * slots
    loaded, adam = load(rows), Adam(initial[rows])
    watched = values(adam.parameters).clone()
    while True:
        slopes, objective = gradient(loaded, adam.parameters, taken)
        rates = [descent.rate(count) for count in taken]
        taken = [count + 1 for count in taken]
        adam.step(slopes, taken, rates, bounds)
        finished = [slot for slot in range(slots) if taken[slot] >= descent.steps]
        if descent.tolerance > 0:
            finished = sorted({*finished, *standing_still(values(adam.parameters), watched, taken, descent)})
        if not finished:
            continue
        for slot in finished:
            if active[slot]:
                record(result, rows[slot], adam.parameters[slot], objective[slot], taken[slot])
                progress(1)
            following = next(queue, None)
            active[slot] = following is not None  # an idle slot goes on with its image, so that shapes stay as they are
            rows[slot] = following if active[slot] else rows[slot]
            taken[slot] = 0
        if not any(active):
            return result
        loaded = load(rows)
        adam.restart(finished, initial[[rows[slot] for slot in finished]])
        watched[finished] = values(adam.parameters)[finished]


def standing_still(now: torch.Tensor, watched: torch.Tensor, taken: list[int], descent: Descent) -> list[int]:
    """The slots whose masks have converged; `watched` takes the masks of those that were looked at."""
    looked_at = [slot for slot, count in enumerate(taken) if count % CONVERGENCE_STEPS == 0]
    if not looked_at:
        return []
    moved = (now[looked_at] - watched[looked_at]).abs().flatten(1).amax(1).tolist()
    watched[looked_at] = now[looked_at]
    return [
        slot
        for slot, distance in zip(looked_at, moved, strict=True)
        if distance <= descent.tolerance and taken[slot] > descent.warm_up
    ]


def record(result: Optimised, row: int, parameters: torch.Tensor, objective: torch.Tensor, steps: int) -> None:
    """Write what a slot has found into the row of its image."""
    result.parameters[row], result.objective[row], result.steps[row] = parameters, objective, steps


def warm_up_weight(step: int, warm_up: int) -> float:
    """The weight of a regulariser at step 0, 1, ...: from exactly 0 to 1 over `warm_up` steps; 1 if there are none."""
    return min(step / warm_up, 1.0) if warm_up else 1.0


def slot_by_slot(function: Callable[[torch.Tensor], torch.Tensor], grid: torch.Tensor) -> torch.Tensor:
    """An elementwise function of a grid (S, h, w), the same to the last bit in whichever slot a number stands.

    torch rounds sigmoids and powers at the end of a tensor otherwise than where they fill whole vectors of the
    processor; so each slot is filled up to whole vectors here.
    """
    cells = grid.flatten(1)
    filled = torch.nn.functional.pad(cells, (0, -cells.shape[1] % VECTOR))
    return function(filled)[:, : cells.shape[1]].unflatten(1, grid.shape[1:])


class Adam:
    """Adam for each slot by itself. parameters: (slots, h, w), taken over and changed in place."""

    def __init__(self, parameters: torch.Tensor):
        self.parameters = parameters
        self.first_moment = torch.zeros_like(parameters)
        self.second_moment = torch.zeros_like(parameters)

    def step(
        self, gradient: torch.Tensor, counts: list[int], rates: list[float], bounds: tuple[float, float] | None = None
    ) -> None:
        """Take one step. counts: for each slot how many steps it has taken, this one included; rates: its rate.

        Products and sums are rounded one by one, never fused, so that all slots round alike.
        """
        self.first_moment.mul_(FIRST_DECAY).add_(gradient * (1 - FIRST_DECAY))
        self.second_moment.mul_(SECOND_DECAY).add_(gradient * gradient * (1 - SECOND_DECAY))
        strides = [rate / (1 - FIRST_DECAY**count) for rate, count in zip(rates, counts, strict=True)]
        corrections = [(1 - SECOND_DECAY**count) ** 0.5 for count in counts]
        stride, correction = gradient.new_tensor([strides, corrections])[:, :, None, None]
        spread = (self.second_moment.sqrt() / correction).add_(EPSILON)
        self.parameters -= stride * self.first_moment / spread
        if bounds is not None:
            self.parameters.clamp_(*bounds)

    def restart(self, slots: list[int], parameters: torch.Tensor) -> None:
        """Forget all of some slots, and go on there with new parameters (len(slots), h, w)."""
        self.parameters[slots] = parameters
        self.first_moment[slots] = 0
        self.second_moment[slots] = 0
