"""Plain adversarial images: what it takes to flip a classifier if nothing needs to look like anything.

The control of every method that claims that its images mean something: projected gradient descent (Madry et al. 2018)
towards the target class, in a small ball, without a diffusion model.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.classifiers.attack import attack_l2
from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import BatchSize
from pipeline.diffusion.denoiser import Denoiser
from pipeline.errors import UserError
from pipeline.explain.counterfactuals import Counterfactuals, image_by_image
from pipeline.explain.masking import check_word
from pipeline.noise import Noise

PURPOSE = "pgd"
RADII = {"l2": 12.0, "linf": 8 / 255}
"""Of the published attacks: 12 is that of Boreiko et al. 2022 for 224 pixels, 8 / 255 the usual one of Madry et al."""


def explain(
    classifier: Classifier,
    images: Tensor,
    targets: Tensor,
    *,
    denoiser: Denoiser | None = None,
    noise: Noise,
    batch_size: int | BatchSize = 16,
    progress: Callable[[int], object] = lambda images: None,
    ball: str = "linf",
    radius: float | None = None,
    iterations: int = 20,
) -> Counterfactuals:
    """Attack each image so that the classifier decides for its target class.

    images: (N, 3, H, W) in [0, 1]; targets: (N,) classes. Draws no noise and makes no use of `denoiser`.
    ball: around the image: "l2" over all pixels and channels, or "linf", the largest change of any of them.
    radius: of the ball, in units of images in [0, 1]; by default 12 (l2, at 224 pixels; the same change of every pixel
        has a radius in proportion to the side, 3.4 at 64) or 8 / 255 (linf, at any size).
    iterations: steps, each 2.5 radius / iterations long: along the gradient of the log-odds (l2) or its sign (linf).
        These are the steps of cross-entropy: both gradients point the same way, and that of the log-odds does not
        vanish for an image that is decided already.

    Evaluations of the classifier: iterations.
    Raises UserError for options out of range, or a classifier without gradients.
    """
    require_gradients(classifier, PURPOSE)
    check_word("ball", ball, RADII)
    radius = RADII[ball] if radius is None else radius
    if not radius > 0:
        raise UserError(f"pgd: radius is {radius}; use a number above 0, such as {RADII[ball]:.3g} for {ball}")
    if iterations < 1:
        raise UserError(f"pgd: iterations is {iterations}; use 1 or more, such as 20")
    attack = {"l2": attack_l2, "linf": attack_linf}[ball]

    def make(images: Tensor, targets: Tensor, noise: Noise) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        with torch.enable_grad():
            attacked = attack(
                lambda points: log_odds(classifier(points), targets), images, epsilon=radius, steps=iterations
            )
        none = torch.zeros_like(targets)
        return attacked, none + iterations, none, none

    return image_by_image(
        make, images, targets, noise, batch_size=batch_size, device=classifier.mean.device, progress=progress
    )


def attack_linf(loss: Callable[[Tensor], Tensor], images: Tensor, *, epsilon: float, steps: int) -> Tensor:
    """Raise each image's loss within an l-infinity ball (Madry et al. 2018, section 2.1); see `attack_l2`."""
    lowest, highest = (images - epsilon).clamp(min=0), (images + epsilon).clamp(max=1)
    attacked = images
    for _ in range(steps):
        attacked = attacked.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(attacked).sum(), attacked)
        attacked = (attacked.detach() + 2.5 * epsilon / steps * gradient.sign()).clamp(lowest, highest)
    return attacked
