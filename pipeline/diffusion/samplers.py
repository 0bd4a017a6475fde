"""Samplers: flat functions of one signature that walk a schedule down, or up, image by image with its own noise.

Each takes (denoiser, images, noise, *, first, clip, classes, progress): images (N, C, H, W) of step `first`, and
returns images (N, C, H, W) of one step before 0, in [-1, 1] up to errors of the model. No row depends on the others.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from pipeline.device import BatchSize, in_batches
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.schedule import respaced
from pipeline.noise import Noise

START = 2**32  # the step under which the noise of the start is drawn, so that it is the same whatever the schedule

Progress = Callable[[int], object]


def pure_noise(noise: Noise, shape: tuple[int, ...]) -> Tensor:
    """Standard normal images (N, *shape) to begin from."""
    return noise.normal(START, shape)


def noised_start(denoiser: Denoiser, images: Tensor, noise: Noise, first: int) -> Tensor:
    """Clean images (N, C, H, W) in [-1, 1], noised to step `first`."""
    return denoiser.schedule.noised(images, noise.normal(START, images.shape[1:]).to(images), first)


def draw_images(
    denoiser: Denoiser,
    noise: Noise,
    *,
    steps: int,
    batch_size: int | BatchSize = 64,
    device: torch.device | str = "cpu",
    progress: Progress = lambda images: None,
) -> Tensor:
    """New images, uint8 (N, C, H, W), one for each row of noise, by DDIM in so many steps.

    device: where the denoiser is. progress: called with the number of images just finished.
    """
    short, shape = replace(denoiser, schedule=respaced(denoiser.schedule, steps)), denoiser.network.shape
    starts = pure_noise(noise, (shape.in_channels, shape.size, shape.size))
    drawn = in_batches(
        lambda start: sample_ddim(short, start), starts, batch_size=batch_size, device=device, progress=progress
    )
    return ((drawn.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


@torch.no_grad()
def sample_ancestral(
    denoiser: Denoiser,
    images: Tensor,
    noise: Noise,
    *,
    first: int | None = None,
    clip: bool = True,
    classes: Tensor | None = None,
    progress: Progress = lambda steps: None,
) -> Tensor:
    """Draw the images of every step from the Gaussian that the model predicts (Ho et al. 2020, algorithm 2)."""
    for step in downwards(denoiser, first):
        predicted = denoiser(images, step, clip=clip, classes=classes)
        images = predicted.mean
        if step > 0:
            fresh = noise.normal(step, images.shape[1:]).to(images)
            images = images + predicted.variance**0.5 * fresh
        progress(1)
    return images


@torch.no_grad()
def sample_ddim(
    denoiser: Denoiser,
    images: Tensor,
    noise: Noise | None = None,
    *,
    first: int | None = None,
    clip: bool = True,
    classes: Tensor | None = None,
    progress: Progress = lambda steps: None,
    eta: float = 0.0,
) -> Tensor:
    """Walk down along the predicted noise (DDIM; Song et al. 2021, equation 12). eta: 0 draws nothing on the way."""
    schedule = denoiser.schedule
    for step in downwards(denoiser, first):
        predicted = denoiser(images, step, clip=clip, classes=classes)
        before, kept = float(schedule.signal_before[step]), float(schedule.signal[step])
        spread = eta * ((1 - before) / (1 - kept) * (1 - kept / before)) ** 0.5
        images = before**0.5 * predicted.clean + max(1 - before - spread**2, 0.0) ** 0.5 * predicted.noise
        if spread and step > 0:
            images = images + spread * noise.normal(step, images.shape[1:]).to(images)
        progress(1)
    return images


@torch.no_grad()
def encode_ddim(
    denoiser: Denoiser,
    images: Tensor,
    noise: Noise | None = None,
    *,
    first: int | None = None,
    clip: bool = False,
    classes: Tensor | None = None,
    progress: Progress = lambda steps: None,
) -> Tensor:
    """Walk up from clean images (N, C, H, W) to step `first` along the predicted noise: DDIM the other way round.

    At each step the model is asked at that step's timestep, as the diffusion autoencoder does (Preechakul et al. 2022).
    By default it is asked once for every step of the schedule: beyond the last the image is taken to be gone (abar 0),
    so that the result is the noise predicted there. Given to `sample_ddim` with the same `first`, the result comes back
    to the images up to the error of the discretisation.
    """
    steps = len(denoiser.schedule) if first is None else last_step(denoiser, first)
    signal = np.append(denoiser.schedule.signal, 0.0)
    for step in range(steps):
        predicted = denoiser(images, step, clip=clip, classes=classes)
        after = float(signal[step + 1])
        images = after**0.5 * predicted.clean + (1 - after) ** 0.5 * predicted.noise
        progress(1)
    return images


def last_step(denoiser: Denoiser, first: int | None) -> int:
    """`first`, checked; by default the noisiest step of the schedule."""
    steps = len(denoiser.schedule)
    if first is None:
        return steps - 1
    if not 0 <= first < steps:
        raise ValueError(f"first is {first} of a schedule of {steps} steps; use 0 to {steps - 1}")
    return first


def downwards(denoiser: Denoiser, first: int | None) -> range:
    return range(last_step(denoiser, first), -1, -1)
