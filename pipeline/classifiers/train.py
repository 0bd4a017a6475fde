"""Training of small classifiers and multi-head readers, plain or adversarial, with calibration and quality figures."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.classifiers.attack import attack_l2

Heads = dict[str, slice]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    steps, batch_size, learning_rate, weight_decay: AdamW, a linear warm-up over 5 % of the steps, cosine decay to 0.
    noise, blur: shares of the images that are degraded (Gaussian noise up to 0.04; down-sampling by up to 2 and back),
        so that the network also reads images that are not quite clean.
    epsilon, attack_steps: adversarial training in the L2 ball of that radius (Madry et al. 2018); 0 trains plainly.
        The radius grows over the first third of the steps, so that the network first learns what to defend.
    average: decay of the exponential moving average of the weights, which is what is kept.
    """

    steps: int = 1000
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    noise: float = 0.3
    blur: float = 0.3
    epsilon: float = 0.0
    attack_steps: int = 4
    average: float = 0.99


@dataclass(frozen=True)
class Quality:
    """What a trained network reaches on images it has not seen; each figure by task, in [0, 1]."""

    rows: int
    accuracy: dict[str, float]
    calibration_error: dict[str, float]
    attacked_accuracy: dict[str, float] = field(default_factory=dict)
    attacked_rows: int = 0


def head_loss(logits: Tensor, labels: Tensor, heads: Heads) -> Tensor:
    """Cross entropy (N,) summed over the heads; logits (N, K), labels (N, number of heads)."""
    return sum(
        functional.cross_entropy(logits[:, part], labels[:, column], reduction="none")
        for column, part in enumerate(heads.values())
    )


def train_network(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    heads: Heads,
    recipe: Recipe,
    *,
    mean: Tensor,
    std: Tensor,
    seed: int,
    advance: Callable[[int], None] = lambda steps: None,
) -> nn.Module:
    """Train in place and return the network with its averaged weights, in evaluation mode.

    images: uint8 (N, 3, H, W); labels: int64 (N, number of heads); mean, std: (3,), the normalisation.
    """
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    mean, std = (value.view(1, -1, 1, 1).to(device) for value in (mean, std))
    optimiser = torch.optim.AdamW(network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    warm_up = max(1, recipe.steps // 20)
    schedule = torch.optim.lr_scheduler.SequentialLR(
        optimiser,
        [
            torch.optim.lr_scheduler.LinearLR(optimiser, 0.05, 1.0, warm_up),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, recipe.steps - warm_up)),
        ],
        milestones=[warm_up],
    )
    averaged = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average), use_buffers=True
    )
    order = torch.empty(0, dtype=torch.long)
    for step in range(recipe.steps):
        if len(order) < recipe.batch_size:
            order = torch.cat([order, torch.randperm(len(images), generator=generator)])
        rows, order = order[: recipe.batch_size], order[recipe.batch_size :]
        batch = degrade(images[rows].float() / 255, recipe, generator).to(device)
        truth = labels[rows].to(device)
        epsilon = recipe.epsilon * min(1.0, 3 * step / recipe.steps)
        if epsilon:
            network.eval()  # the attack must not move batch statistics
            batch = attack_l2(
                lambda attacked, truth=truth: head_loss(network((attacked - mean) / std), truth, heads),
                batch,
                epsilon=epsilon,
                steps=recipe.attack_steps,
            )
        network.train()
        optimiser.zero_grad(set_to_none=True)
        head_loss(network((batch - mean) / std), truth, heads).mean().backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        averaged.update_parameters(network)
        advance(1)
    network.load_state_dict(averaged.module.state_dict())
    return network.eval()


def degrade(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Blur and add noise to the stated shares of images (N, C, H, W) in [0, 1]."""
    count, _, height, width = images.shape
    draw = torch.rand(4, count, generator=generator)
    factor = 1 + float(draw[0, 0])  # one reduction per batch; which images it hits is drawn per image
    small = (max(8, round(height / factor)), max(8, round(width / factor)))
    softened = functional.interpolate(images, small, mode="bilinear", antialias=True)
    softened = functional.interpolate(softened, (height, width), mode="bilinear", antialias=True)
    images = torch.where((draw[1] < recipe.blur).view(-1, 1, 1, 1), softened, images)
    strength = (0.04 * draw[2] * (draw[3] < recipe.noise)).view(-1, 1, 1, 1)
    return (images + strength * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def calibrate(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature (Guo et al. 2017) that minimises the cross entropy of logits (N, K) against labels (N,).

    Labels are softened by one part in N + 2 (Platt 1999): a network that makes no mistake on N images is not taken to
    be certain beyond what N images can show, which would leave no slope in its probabilities.
    """
    candidates = torch.logspace(-1.5, 1.5, 241)
    softening = 1 / (len(labels) + 2)
    targets = functional.one_hot(labels, logits.shape[1]) * (1 - softening) + softening / logits.shape[1]
    losses = torch.stack([functional.cross_entropy(logits / value, targets) for value in candidates])
    return float(candidates[losses.argmin()])


def measure(
    predict: Callable[[Tensor], Tensor],
    images: Tensor,
    labels: Tensor,
    heads: Heads,
    *,
    epsilon: float = 0.0,
    attack_steps: int = 10,
    attacked_rows: int = 512,
    batch_size: int = 128,
) -> Quality:
    """Measure accuracy and calibration error per task, and, if epsilon is set, accuracy under an L2 attack.

    predict: maps images (N, 3, H, W) in [0, 1] to logits (N, K); images: uint8 (N, 3, H, W); labels: int64 (N, heads).
    attacked_rows: how many images are attacked, rounded up to whole batches: an attack costs `attack_steps` times more.
    The calibration error is torchmetrics' (expected, 15 bins).
    """
    from torchmetrics.functional.classification import multiclass_calibration_error

    clean, attacked = [], []
    for start in range(0, len(images), batch_size):
        batch, truth = images[start : start + batch_size].float() / 255, labels[start : start + batch_size]
        with torch.no_grad():
            clean.append(predict(batch))
        if epsilon and start < attacked_rows:
            moved = attack_l2(
                lambda moved, truth=truth: head_loss(predict(moved), truth, heads),
                batch,
                epsilon=epsilon,
                steps=attack_steps,
            )
            with torch.no_grad():
                attacked.append(predict(moved))
    logits = torch.cat(clean)
    correct = {
        task: (logits[:, part].argmax(1) == labels[:, column]) for column, (task, part) in enumerate(heads.items())
    }
    errors = {
        task: multiclass_calibration_error(
            logits[:, part].softmax(1), labels[:, column], num_classes=part.stop - part.start, n_bins=15
        ).item()
        for column, (task, part) in enumerate(heads.items())
    }
    hit = torch.cat(attacked) if attacked else logits[:0]
    under_attack = {
        task: (hit[:, part].argmax(1) == labels[: len(hit), column]).float().mean().item()
        for column, (task, part) in enumerate(heads.items())
        if epsilon
    }
    return Quality(
        len(images),
        {task: right.float().mean().item() for task, right in correct.items()},
        errors,
        under_attack,
        len(hit),
    )
