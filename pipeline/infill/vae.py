"""The variational autoencoders that fill holes (Chang et al. 2019): a dilated encoder, a code at a quarter of the side.

The network sees an image whose holes are grey, and where they are; it makes a whole image. With `variance` it also
tells the log-variance of each pixel, by which its training weighs errors; what is filled in is the mean. Layers and
their order are those of the official code, whose weights have the same names. It normalises images for ImageNet; here
they are in [-1, 1].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.infill.declared.vae import VaeShape
from pipeline.noise import Noise

CODE_PURPOSE = "code of the in-fill"
SHRINKING = 4  # the code has a quarter of the image's side
LOG_VARIANCES = (-10.0, 10.0)  # beyond, the loss of one pixel would drown all others
COLOURS = 3
FIRST_LOG_VARIANCE = -6.0  # of the code: noise as large as the code would long hide what an image shows


@dataclass(frozen=True)
class Filled:
    """What the network makes of images (N, 3, H, W).

    image: (N, 3, H, W) in [-1, 1]; log_variance: (N, 3, H, W), None where the network tells none. code_mean,
    code_log_variance: (N, 4 * channels, H / 4, W / 4) of the Gaussian that the code was drawn from.
    """

    image: Tensor
    log_variance: Tensor | None
    code_mean: Tensor
    code_log_variance: Tensor


class VaeInfill(nn.Module):
    """Makes images from what holes leave of them."""

    def __init__(self, shape: VaeShape) -> None:
        super().__init__()
        self.shape, width = shape, shape.channels
        self.encode = nn.Sequential(
            *layer(nn.Conv2d(COLOURS + 1, width, 5, padding=2)),
            *layer(nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)),
            *layer(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            *layer(nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1)),
            *layer(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            *layer(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            *(each for reach in (2, 4, 8, 16) for each in layer(dilated(4 * width, reach))),
            nn.Conv2d(4 * width, 8 * width, 3, padding=1),
        )
        nn.init.constant_(self.encode[-1].bias.data[4 * width :], FIRST_LOG_VARIANCE)
        self.decode = nn.Sequential(
            *layer(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            *layer(nn.Conv2d(4 * width, 4 * width, 3, padding=1)),
            *layer(nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1)),
            *layer(nn.Conv2d(2 * width, 2 * width, 3, padding=1)),
            *layer(nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)),
            *layer(nn.Conv2d(width, width // 2, 3, padding=1)),
            nn.Conv2d(width // 2, COLOURS * (2 if shape.variance else 1), 3, padding=1),
        )

    def forward(self, images: Tensor, keep: Tensor, fresh: Tensor) -> Filled:
        """images: (N, 3, H, W) in [-1, 1], sides divisible by 4; keep: (N, 1, H, W), 1 for kept; fresh: as the code."""
        mean, log_variance = self.encode(torch.cat([images * keep, 1 - keep], 1)).chunk(2, 1)
        made = self.decode(mean + (0.5 * log_variance).exp() * fresh)
        if not self.shape.variance:
            return Filled(2 * torch.sigmoid(made) - 1, None, mean, log_variance)
        image, spread = made.chunk(2, 1)
        return Filled(image, spread.clamp(*LOG_VARIANCES), mean, log_variance)

    def code_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """Of the code of one image whose sides are divisible by 4."""
        return 4 * self.shape.channels, height // SHRINKING, width // SHRINKING

    def fill(self, images: Tensor, keep: Tensor, *, noise: Noise | None, step: int) -> Tensor:
        """Whole images (N, 3, H, W) of images in [0, 1] at any size; each row has holes and a code of its own."""
        if noise is None or len(noise) != len(images):
            raise ValueError("an in-filler that draws a code needs noise with one row for each row of the images")
        height, width = images.shape[-2:]
        beyond = (0, -width % SHRINKING, 0, -height % SHRINKING)
        larger = functional.pad(2 * images - 1, beyond, mode="replicate")
        kept = functional.pad(keep, beyond)  # what lies beyond the image is a hole
        fresh = noise.for_purpose(f"{noise.purpose}: {CODE_PURPOSE}").normal(step, self.code_shape(*larger.shape[-2:]))
        made = self(larger, kept, fresh.to(larger)).image
        return (made[..., :height, :width] / 2 + 0.5).clamp(0, 1)


def layer(convolution: nn.Module) -> list[nn.Module]:
    """A convolution with what follows it."""
    return [convolution, nn.ReLU(), nn.BatchNorm2d(convolution.out_channels)]


def dilated(channels: int, reach: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, padding=reach, dilation=reach)
