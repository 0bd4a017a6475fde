"""Noise schedules, and the equations of Gaussian diffusion (Ho et al. 2020; Nichol & Dhariwal 2021; Song et al. 2021).

With abar the cumulative product of 1 - beta, a noised image is sqrt(abar) x0 + sqrt(1 - abar) noise. Steps are counted
within the (respaced) schedule, 0 the cleanest; networks are told the timesteps of the full one.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, repeat

import numpy as np
import torch
from torch import Tensor

from pipeline.diffusion.strides import whole_stride
from pipeline.errors import UserError, nearest


def linear_betas(steps: int = 1000) -> np.ndarray:
    """Betas (steps,) that rise linearly; those of 1000 steps run from 1e-4 to 0.02."""
    return np.linspace(0.1 / steps, 20 / steps, steps)


def cosine_betas(steps: int = 1000, largest: float = 0.999) -> np.ndarray:
    """Betas (steps,) by which sqrt(abar) falls as a cosine (Nichol & Dhariwal 2021, equation 17)."""
    level = np.cos((np.linspace(0, 1, steps + 1) + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - level[1:] / level[:-1], largest)


BETAS = {"linear": linear_betas, "cosine": cosine_betas}


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each step of a process mixes.

    betas: (K,) float64. timesteps: (K,) of the full schedule, which networks are told; a step k has timesteps[k].
    """

    betas: np.ndarray
    timesteps: np.ndarray

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def signal(self) -> np.ndarray:
        """abar (K,): the share of the variance that is still image."""
        return np.cumprod(1 - self.betas)

    @cached_property
    def signal_before(self) -> np.ndarray:
        """abar (K,) of the step before, 1 before the first."""
        return np.append(1.0, self.signal[:-1])

    @cached_property
    def log_variance_range(self) -> tuple[np.ndarray, np.ndarray]:
        """Logarithms (K,) of the smallest (posterior) and the largest (beta) variance of a step backwards.

        The posterior variance of step 0 is 0; that of step 1 stands in for it (of a single step, beta).
        """
        posterior = self.betas * (1 - self.signal_before) / (1 - self.signal)
        clipped = np.append(posterior[1], posterior[1:]) if len(self) > 1 else self.betas
        return np.log(clipped), np.log(self.betas)

    def noised(self, images: Tensor, noise: Tensor, step: int) -> Tensor:
        """Images of a step, from clean ones and standard normal noise."""
        return math.sqrt(self.signal[step]) * images + math.sqrt(1 - self.signal[step]) * noise

    def clean(self, noised: Tensor, noise: Tensor, step: int) -> Tensor:
        """The clean images that noised ones and their noise stand for (x0-hat)."""
        return noised / math.sqrt(self.signal[step]) - math.sqrt(1 / self.signal[step] - 1) * noise

    def noise(self, noised: Tensor, clean: Tensor, step: int) -> Tensor:
        """The noise that lies between noised and clean images."""
        return (noised / math.sqrt(self.signal[step]) - clean) / math.sqrt(1 / self.signal[step] - 1)

    def posterior_mean(self, clean: Tensor, noised: Tensor, step: int) -> Tensor:
        """Mean of the images one step before, given clean images and those of this step."""
        kept, before, beta = self.signal[step], self.signal_before[step], self.betas[step]
        of_clean = beta * math.sqrt(before) / (1 - kept)
        of_noised = (1 - before) * math.sqrt(1 - beta) / (1 - kept)
        return of_clean * clean + of_noised * noised

    def log_variance(self, fraction: Tensor | None, step: int, fixed: str = "small") -> Tensor | float:
        """Log variance of a step backwards; fraction: in [-1, 1], where a network learned it lies in its range.

        fixed: of a network that did not learn it, "small" (posterior) or "large" (beta, but at step 0 as small).
        """
        smallest, largest = (float(bound[step]) for bound in self.log_variance_range)
        if fraction is None:
            return largest if fixed == "large" and step > 0 else smallest
        share = (fraction + 1) / 2
        return share * largest + (1 - share) * smallest

    def timestep(self, step: int, like: Tensor) -> Tensor:
        """The timestep (N,) of the full schedule that a network is told for all of the images `like` (N, ...)."""
        return torch.full((len(like),), float(self.timesteps[step]), device=like.device)


def full_schedule(name: str = "linear", steps: int = 1000) -> Schedule:
    """The schedule of that name; UserError, with the nearest valid name, if there is none."""
    if name not in BETAS:
        raise UserError(
            f"there is no schedule {name!r}; use {nearest(str(name), BETAS) or 'linear'} ({', '.join(BETAS)})"
        )
    if steps < 1:
        raise UserError(f"a schedule of {steps} steps; use 1 or more, such as 1000")
    return Schedule(BETAS[name](steps), np.arange(steps))


def respaced(schedule: Schedule, steps: int) -> Schedule:
    """A schedule of fewer steps, evenly spread from the first to the last (as guided diffusion spaces "200").

    The stride is added up step by step and each sum rounded. Its errors decide where a sum lies half-way: of 21 steps
    of 1000 the middle one is 499, where 10 * 49.95 would give 500.
    """
    check_steps(schedule, steps)
    stride = (len(schedule) - 1) / (steps - 1) if steps > 1 else 1.0
    sums = accumulate(repeat(stride, steps - 1), initial=0.0)
    return subset(schedule, np.array([round(place) for place in sums]))


def respaced_by_stride(schedule: Schedule, steps: int) -> Schedule:
    """A schedule of fewer steps, at a whole stride from the first; UserError where none gives that number."""
    check_steps(schedule, steps)
    return subset(schedule, np.arange(0, len(schedule), whole_stride(len(schedule), steps)))


def check_steps(schedule: Schedule, steps: int) -> None:
    if not 1 <= steps <= len(schedule):
        raise UserError(f"{steps} steps of a schedule of {len(schedule)}; use 1 to {len(schedule)}, such as 50")


def subset(schedule: Schedule, kept: np.ndarray) -> Schedule:
    """The schedule of some steps only: abar stays what it is at each of them."""
    signal = schedule.signal[kept]
    betas = 1 - signal / np.append(1.0, signal[:-1])
    return Schedule(betas, schedule.timesteps[kept])
