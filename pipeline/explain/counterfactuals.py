"""What a method that makes counterfactual images returns, and how such methods go through their images."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.device import BatchSize, in_batches
from pipeline.noise import Noise


@dataclass(frozen=True)
class Counterfactuals:
    """Images that a method made of N images so that a classifier decides for their targets.

    images: (N, 3, H, W) in [0, 1]. classifier_evaluations: passes of each image through classifiers, helpers included,
    (N,) int64. denoiser_evaluations, denoiser_gradients: passes through a diffusion model, forward and backward, (N,)
    int64; zero for methods without one.
    """

    images: Tensor
    classifier_evaluations: Tensor
    denoiser_evaluations: Tensor
    denoiser_gradients: Tensor


def image_by_image(
    make: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]],
    images: Tensor,
    targets: Tensor,
    noise: Noise,
    *,
    batch_size: int | BatchSize,
    device: torch.device,
    progress: Callable[[int], object] | None = None,
    region: Tensor | None = None,
) -> Counterfactuals:
    """Make the counterfactuals of images (N, 3, H, W) for targets (N,) in batches of one fixed shape.

    make: takes a batch of images and targets on `device`, with the noise of its images; returns the four fields of
    Counterfactuals for that batch. A row must not depend on the others. region: (N, H, W) bool, True for pixels that
    may change; if it is given, `make` takes that of its images as (N, 1, H, W) last.
    """
    if region is not None:
        check_region(region, images)

    def of_rows(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        chosen = rows.cpu()
        batch, wanted = images[chosen.to(images.device)].to(device), targets[chosen.to(targets.device)].to(device)
        within = [] if region is None else [region[chosen.to(region.device), None].to(device)]
        return make(batch, wanted, noise.select(chosen.tolist()).to(device), *within)

    made, *counts = in_batches(
        of_rows, torch.arange(len(images)), batch_size=batch_size, device=device, progress=progress
    )
    return Counterfactuals(made.to(images.device), *(count.cpu() for count in counts))


def check_region(region: Tensor, images: Tensor) -> None:
    wanted = (len(images), *images.shape[-2:])
    if region.dtype != torch.bool or region.shape != wanted:
        raise ValueError(f"region is {tuple(region.shape)} of {region.dtype}; give bool of shape {wanted}")
