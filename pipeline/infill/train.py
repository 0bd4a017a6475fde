"""Training of in-fillers that have weights (Chang et al. 2019): images with holes in, the holes' pixels out."""

from functools import partial

import torch
from torch import Tensor

from pipeline.diffusion.train import LossOf
from pipeline.infill.masks import draw_keep
from pipeline.infill.vae import Filled, VaeInfill


def filling(divergence: float) -> LossOf:
    """The loss of an in-filler of images whose sides are divisible by 4.

    divergence: weight of the code's Kullback-Leibler divergence.
    """
    return partial(filling_loss, divergence=divergence)


def filling_loss(
    network: VaeInfill, clean: Tensor, rows: Tensor, generator: torch.Generator, divergence: float
) -> Tensor:
    """`loss_of_holes` of images (N, 3, H, W) in [-1, 1] under masks drawn for them, for each number of an image."""
    height, width = clean.shape[-2:]
    keep = draw_keep(len(clean), height, width, generator).to(clean)
    fresh = torch.randn((len(clean), *network.code_shape(height, width)), generator=generator).to(clean)
    return loss_of_holes(network(clean, keep, fresh), clean, keep, divergence).mean() / clean[0].numel()


def loss_of_holes(filled: Filled, clean: Tensor, keep: Tensor, divergence: float) -> Tensor:
    """The loss (N,) of each image: negative log-likelihood of what the holes hide, up to a constant, and divergence.

    Without a variance of its own each number has variance 1.
    """
    errors = (clean - filled.image) ** 2
    if filled.log_variance is not None:
        errors = filled.log_variance + errors * (-filled.log_variance).exp()
    hidden = (0.5 * errors * (1 - keep)).flatten(1).sum(1)
    mean, log_variance = filled.code_mean.flatten(1), filled.code_log_variance.flatten(1)
    return hidden + divergence * 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
