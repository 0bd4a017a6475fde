"""Training of diffusion models and of their guides: every image is noised at a timestep drawn for it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.device import precision
from pipeline.diffusion.schedule import Schedule
from pipeline.errors import UserError

LARGEST_NORM = 1.0  # of the gradient


@dataclass(frozen=True)
class Recipe:
    """How a diffusion model is trained.

    steps, batch_size, learning_rate, weight_decay: AdamW; the rate rises over the first 2 % of the steps and then falls
        linearly to 0. average: decay of the exponential moving average of the weights, which is what is kept.
    predicts: "noise", or "velocity", which weighs high noise levels more (see Denoiser).
    variance_weight: of the variational bound that the learned variance is trained by (Nichol & Dhariwal 2021).
    flips: whether each image is mirrored with probability one half.
    precision: that products are computed in on a card, "float32" or "bfloat16"; the weights are float32.
    """

    steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.01
    average: float = 0.998
    predicts: str = "velocity"
    variance_weight: float = 1.0
    flips: bool = False
    precision: str = "float32"

    def rate(self, step: int) -> float:
        """The learning rate of step 0 .. steps - 1."""
        warm_up = max(1, self.steps // 50)
        return self.learning_rate * min((step + 1) / warm_up, 1 - step / self.steps)

    def decay(self, step: int) -> float:
        """The decay of the average after step 0 ..: shorter at first, when the weights are still far away."""
        return min(self.average, (1 + step) / (10 + step))


class Progress:
    """What a training carries from step to step, so that it can stop and go on; all draws follow from the step.

    identity: of the recipe and data, in whatever words; a file of another training is not gone on from. seconds: spent
    so far, as whoever trains counts them.
    """

    def __init__(self, network: nn.Module, recipe: Recipe, seed: int, identity: str = ""):
        self.network, self.recipe, self.seed, self.identity = network, recipe, seed, identity
        self.averaged = {name: value.detach().clone() for name, value in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.99)
        )
        self.step, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Write all of it to a file."""
        torch.save(
            {
                "network": self.network.state_dict(),
                "averaged": self.averaged,
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "seconds": self.seconds,
                "identity": self.identity,
            },
            path,
        )

    def load(self, path: Path) -> bool:
        """Go on from a file that `save` wrote; False, with nothing changed, if it is of another training."""
        held = torch.load(path, map_location="cpu", weights_only=True)
        if held["identity"] != self.identity:
            return False
        self.network.load_state_dict(held["network"])
        self.optimiser.load_state_dict(held["optimiser"])
        self.averaged = {name: value.to(self.averaged[name]) for name, value in held["averaged"].items()}
        self.step, self.seconds = held["step"], held["seconds"]
        return True

    def average(self) -> None:
        """Move the averaged weights towards the present ones."""
        present = self.network.state_dict()
        moving = [name for name, value in present.items() if value.is_floating_point()]
        averaged, weights = ([state[name] for name in moving] for state in (self.averaged, present))
        torch._foreach_lerp_(averaged, weights, 1 - self.recipe.decay(self.step))
        for name in present.keys() - moving:
            self.averaged[name].copy_(present[name])


AfterStep = Callable[[Progress, float], Any]
"""Called with the progress and the loss of the step, to report and to save."""


LossOf = Callable[[nn.Module, Tensor, Tensor, torch.Generator], Tensor]
"""Takes the network, clean images in [-1, 1], which of the training images they are, and what else is drawn from."""


def on_noised(loss_of: Callable[..., Tensor], schedule: Schedule, classes: Tensor | None = None) -> LossOf:
    """A loss on images that get noise of their own at a step of their own.

    loss_of: takes network, clean images, noise, steps (N,) of the schedule, the schedule, and classes (N,).
    """

    def loss(network: nn.Module, clean: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
        steps = spread_steps(len(rows), len(schedule), generator)
        noise = torch.randn(clean.shape, generator=generator_on(clean.device, generator), device=clean.device)
        chosen = None if classes is None else classes[rows].to(clean.device)
        return loss_of(network, clean, noise, steps, schedule, classes=chosen)

    return loss


def denoising(recipe: Recipe, schedule: Schedule, classes: Tensor | None = None) -> LossOf:
    """The loss of a diffusion model. classes: (N,) of all training images, for a class-conditional network."""
    return on_noised(partial(denoising_loss, recipe=recipe), schedule, classes)


def autoencoding(recipe: Recipe, schedule: Schedule) -> LossOf:
    """The loss of a diffusion autoencoder (Preechakul et al. 2022): encoder and U-Net learn by the U-Net's alone."""
    return on_noised(partial(autoencoding_loss, recipe=recipe), schedule)


def guiding(schedule: Schedule, classes: Tensor) -> LossOf:
    """The loss of a classifier of noised images (Dhariwal & Nichol 2021, section 4). classes: (N,) of all images."""
    return on_noised(guiding_loss, schedule, classes)


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator, or one of its seed on the card: a CPU would draw slower than the card learns."""
    return generator if device.type == "cpu" else torch.Generator(device).manual_seed(generator.initial_seed())


def follow_recipe(
    progress: Progress, images: Tensor, loss_of: LossOf, after_step: AfterStep = lambda progress, loss: None
) -> dict[str, Tensor]:
    """Train from where `progress` stands to the end of its recipe; returns the averaged weights.

    images: uint8 (N, C, H, W). Raises UserError where the loss is not a number.
    """
    recipe, network = progress.recipe, progress.network
    device = next(network.parameters()).device
    computed = precision(device, recipe.precision)
    network.train()
    while progress.step < recipe.steps:
        seed = (progress.seed * 2**32 + progress.step) % 2**63
        torch.manual_seed(seed)  # dropout too follows from the step
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randint(len(images), (recipe.batch_size,), generator=generator)
        clean = images[rows].to(device).float() / 127.5 - 1
        if recipe.flips:
            mirrored = torch.rand(len(rows), generator=generator) < 0.5
            clean = torch.where(mirrored.to(device).view(-1, 1, 1, 1), clean.flip(3), clean)
        with torch.autocast(device.type, computed, enabled=computed != torch.float32):
            loss = loss_of(network, clean, rows, generator)
        if not torch.isfinite(loss):
            raise UserError(
                f"the loss of step {progress.step} is {loss.item()}; set a lower learning_rate than"
                f" {recipe.learning_rate:g}, such as {recipe.learning_rate / 4:g}"
            )
        for group in progress.optimiser.param_groups:
            group["lr"] = recipe.rate(progress.step)
        progress.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), LARGEST_NORM)
        progress.optimiser.step()
        progress.average()
        progress.step += 1
        after_step(progress, float(loss.detach()))
    return progress.averaged


def spread_steps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """Steps (count,) in random order, one from each of `count` equal parts of the schedule, for less variance."""
    places = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return (places[torch.randperm(count, generator=generator)] * steps).long().clamp(max=steps - 1)


def denoising_loss(
    network: Callable[..., Tensor],
    clean: Tensor,
    noise: Tensor,
    steps: Tensor,
    schedule: Schedule,
    recipe: Recipe,
    classes: Tensor | None = None,
) -> Tensor:
    """Mean squared error of the prediction, plus the variational bound in bits where the variance is learned.

    clean: images (N, C, H, W) in [-1, 1]; noise: as many; steps: (N,) of the full schedule.
    """
    kept, noised, timesteps = noised_at(steps, clean, noise, schedule)
    said = network(noised, timesteps) if classes is None else network(noised, timesteps, classes)
    channels = clean.shape[1]
    said, fraction = said[:, :channels], said[:, channels:] if said.shape[1] > channels else None
    target = kept.sqrt() * noise - (1 - kept).sqrt() * clean if recipe.predicts == "velocity" else noise
    loss = functional.mse_loss(said.float(), target)
    if fraction is None or not recipe.variance_weight:
        return loss
    if recipe.predicts == "velocity":
        guessed = kept.sqrt() * noised - (1 - kept).sqrt() * said.detach()
    else:
        guessed = (noised - (1 - kept).sqrt() * said.detach()) / kept.sqrt()
    bound = variational_bits(guessed, fraction.float(), clean, noised, steps, schedule)
    return loss + recipe.variance_weight * bound.mean()


def autoencoding_loss(
    network: nn.Module,
    clean: Tensor,
    noise: Tensor,
    steps: Tensor,
    schedule: Schedule,
    recipe: Recipe,
    classes: None = None,
) -> Tensor:
    """`denoising_loss` of a U-Net that is told what its encoder sees in the clean images."""
    semantic = network.encoder(clean)
    return denoising_loss(
        lambda noised, timesteps: network(noised, timesteps, semantic), clean, noise, steps, schedule, recipe
    )


def guiding_loss(
    network: nn.Module, clean: Tensor, noise: Tensor, steps: Tensor, schedule: Schedule, classes: Tensor
) -> Tensor:
    """Cross entropy of the classes (N,) of noised images, at timesteps as the denoiser sees them."""
    _, noised, timesteps = noised_at(steps, clean, noise, schedule)
    return functional.cross_entropy(network(noised, timesteps).float(), classes)


def noised_at(steps: Tensor, clean: Tensor, noise: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor, Tensor]:
    """abar (N, 1, 1, 1), the noised images and the timesteps (N,) of steps (N,)."""
    kept = column(schedule.signal, steps, clean)
    noised = kept.sqrt() * clean + (1 - kept).sqrt() * noise
    return kept, noised, torch.as_tensor(schedule.timesteps)[steps].to(clean)


def variational_bits(
    guessed: Tensor, fraction: Tensor, clean: Tensor, noised: Tensor, steps: Tensor, schedule: Schedule
) -> Tensor:
    """The bound (N,) of each image in bits per number: Kullback-Leibler divergence, or likelihood at step 0.

    guessed: the model's x0-hat, through which no gradient goes. fraction: of the learned variance, in [-1, 1].
    """
    before, kept, beta = (
        column(values, steps, clean) for values in (schedule.signal_before, schedule.signal, schedule.betas)
    )
    of_clean, of_noised = beta * before.sqrt() / (1 - kept), (1 - before) * (1 - beta).sqrt() / (1 - kept)
    true_mean, mean = of_clean * clean + of_noised * noised, of_clean * guessed + of_noised * noised
    smallest, largest = (column(bound, steps, clean) for bound in schedule.log_variance_range)
    log_variance = (fraction + 1) / 2 * largest + (1 - fraction) / 2 * smallest
    divergence = 0.5 * (
        log_variance - smallest - 1 + (smallest - log_variance).exp() + (true_mean - mean) ** 2 * (-log_variance).exp()
    )
    likelihood = -discretised_log_likelihood(clean, mean, 0.5 * log_variance)
    first = (steps == 0).to(clean.device).view(-1, 1, 1, 1)
    bits = torch.where(first, likelihood, divergence)
    return bits.flatten(1).mean(1) / torch.log(torch.tensor(2.0))


def discretised_log_likelihood(images: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Log probability of each of 256 grey levels in [-1, 1] under a Gaussian; the outermost take the tails."""
    spread = torch.exp(-log_deviation)
    above = torch.special.ndtr(spread * (images - mean + 1 / 255))
    below = torch.special.ndtr(spread * (images - mean - 1 / 255))
    inside = (above - below).clamp(min=1e-12).log()
    outside = torch.where(images > 0.999, (1 - below).clamp(min=1e-12).log(), inside)
    return torch.where(images < -0.999, above.clamp(min=1e-12).log(), outside)


def column(values: Any, steps: Tensor, like: Tensor) -> Tensor:
    """Values of a schedule at steps (N,), as (N, 1, 1, 1) of the type and device of `like`."""
    return torch.as_tensor(values, dtype=torch.float64)[steps].to(like).view(-1, 1, 1, 1)
