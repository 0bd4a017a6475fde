"""What samplers and methods ask of a diffusion model: the noise in an image, however its network was trained."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.diffusion.schedule import Schedule
from pipeline.errors import UserError, nearest

PREDICTIONS = ("noise", "velocity")
VARIANCES = ("small", "large")


class Prediction(NamedTuple):
    """What a model says of images of one step: each (N, C, H, W), log_variance a number where it is fixed.

    noise: standard normal if the model is right. clean: x0-hat, in [-1, 1] up to errors. mean, log_variance: of the
    images one step before.
    """

    noise: Tensor
    clean: Tensor
    mean: Tensor
    log_variance: Tensor | float

    @property
    def variance(self) -> Tensor | float:
        """The variance of the images one step before."""
        if isinstance(self.log_variance, Tensor):
            return self.log_variance.exp()
        return float(torch.tensor(self.log_variance).exp())


@dataclass(frozen=True)
class Denoiser:
    """A diffusion model on a schedule.

    network: takes images (N, C, H, W) at timesteps (N,) of the full schedule; gives C channels, or 2 C where it learned
        the variance too. predicts: "noise" (epsilon, the published networks), or "velocity" sqrt(abar) noise -
        sqrt(1 - abar) x0 (Salimans & Ho 2022), which stays well-conditioned where an image is almost all noise.
    variance: of a step backwards, where the network did not learn it: "small", that of the posterior, or "large", beta,
        the default of guided diffusion.
    """

    network: nn.Module
    schedule: Schedule
    predicts: str = "noise"
    variance: str = "small"

    def __post_init__(self) -> None:
        if self.predicts not in PREDICTIONS:
            close = nearest(str(self.predicts), PREDICTIONS) or "noise"
            raise UserError(f"a diffusion model predicts {self.predicts!r}; use {close} ({', '.join(PREDICTIONS)})")
        if self.variance not in VARIANCES:
            raise UserError(f"the variance of a diffusion model is {self.variance!r}; use {' or '.join(VARIANCES)}")

    def __call__(self, noised: Tensor, step: int, *, clip: bool = False, classes: Tensor | None = None) -> Prediction:
        """Predict from images (N, C, H, W) of a step. clip: keep x0-hat in [-1, 1], and what follows from it."""
        timesteps = self.schedule.timestep(step, noised)
        said = self.network(noised, timesteps) if classes is None else self.network(noised, timesteps, classes)
        channels = noised.shape[1]
        said, fraction = said[:, :channels], said[:, channels:] if said.shape[1] > channels else None
        kept = float(self.schedule.signal[step])
        if self.predicts == "velocity":
            clean = kept**0.5 * noised - (1 - kept) ** 0.5 * said
            noise = (1 - kept) ** 0.5 * noised + kept**0.5 * said
        else:
            noise, clean = said, self.schedule.clean(noised, said, step)
        if clip:
            clean = clean.clamp(-1, 1)
            noise = self.schedule.noise(noised, clean, step)
        mean = self.schedule.posterior_mean(clean, noised, step)
        return Prediction(noise, clean, mean, self.schedule.log_variance(fraction, step, self.variance))
