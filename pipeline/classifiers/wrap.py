"""The contract of a classifier: images in [0, 1] at any size in, logits out."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch

from pipeline.classifiers.checks import (
    check_gradients,
    check_heads,
    check_logits,
    check_outputs,
    check_sigmoid,
    choose_task,
    out_of_memory,
    refusal,
)
from pipeline.classifiers.resize import resize
from pipeline.errors import UserError

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's convert("L")


class Head(NamedTuple):
    """One task of a classifier: its class names and the columns of the logits that score them."""

    classes: tuple[str, ...]
    columns: slice


class Classifier(torch.nn.Module):
    """A network with everything around it that its training assumed.

    `forward` takes images (N, C, H, W) in [0, 1] with one or three channels at any size, and returns logits (N, K), K
    at least 2. It never clamps and never changes its input. If `differentiable`, gradients flow back to the images.
    The network is taken over: its parameters are frozen, in float32, and it stays in evaluation mode.

    network: what turns prepared images (N, channels, size, size) into outputs (N, K); stays reachable as `.network`.
    heads: {task: class names}; several for a reader, whose logits stand side by side in this order.
    size: side in pixels that the network wants; None if it takes any.
    channels: 1 or 3. mean, std: one number, or one for each channel, in units of images in [0, 1].
    temperature: divides the logits; one number above 0, or {task: number}.
    sigmoid: for a multi-label network the column (or one column for each task) whose output f is the log-odds of the
        second class; the logits are then [-f/2, f/2].
    probabilities: whether the network ends in a softmax; the logits are then the logarithms of its outputs.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        *,
        name: str,
        heads: Mapping[str, Sequence[str]],
        size: int | None = None,
        channels: int = 3,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        temperature: float | Mapping[str, float] = 1.0,
        sigmoid: int | Sequence[int] | None = None,
        probabilities: bool = False,
        differentiable: bool = True,
    ) -> None:
        super().__init__()
        check_heads(name, heads)
        self.name = name
        self.heads = side_by_side(heads)
        self.size = size
        self.channels = channels
        self.sigmoid = [sigmoid] if isinstance(sigmoid, int) else sigmoid
        check_sigmoid(name, self.sigmoid, heads)
        self.probabilities = probabilities
        self.differentiable = differentiable
        self.every_class = self.classes
        self.columns = slice(None)
        self.works = False
        self.register_buffer("mean", per_channel(name, "mean", mean, channels), persistent=False)
        self.register_buffer("std", per_channel(name, "std", std, channels), persistent=False)
        self.register_buffer("temperature", per_class(name, temperature, heads), persistent=False)
        self.network = network.float()
        for weight in network.parameters():  # by hand, since TorchScript has no requires_grad_ for modules
            weight.requires_grad_(False)
        self.eval()

    @property
    def task(self) -> str:
        """The task; of a reader with several, their names joined by a plus."""
        return "+".join(self.heads)

    @property
    def classes(self) -> tuple[str, ...]:
        """The K class names, one for each column of the logits; of a reader with several tasks "task=class"."""
        if len(self.heads) == 1:
            return next(iter(self.heads.values())).classes
        return tuple(f"{task}={label}" for task, head in self.heads.items() for label in head.classes)

    def for_task(self, task: str) -> "Classifier":
        """The same network as a classifier of one of its tasks alone (they share weights and device)."""
        head = self.heads[choose_task(self.name, self.heads, task)]
        if len(self.heads) == 1:
            return self
        chosen = copy.copy(self)
        chosen.columns = head.columns
        chosen.heads = side_by_side({task: head.classes})
        return chosen

    def train(self, mode: bool = True) -> "Classifier":
        """Stay in evaluation mode, whatever is asked: a row must not depend on its neighbours."""
        return super().train(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (N, K) of images (N, C, H, W) in [0, 1]. Raises UserError if the network breaks its contract.

        Shapes and gradients are checked each time, finite numbers the first time only: that check waits for the device.
        """
        prepared = self.prepare(images if self.differentiable else images.detach())
        logits = self.read(self.network(prepared) if self.works else self.first_outputs(prepared))
        check_gradients(self.name, images, logits, self.differentiable)
        if not self.works:
            check_logits(self.name, logits, self.classes)
            self.works = True
        return logits

    def first_outputs(self, prepared: torch.Tensor) -> torch.Tensor:
        """Outputs of the first forward; if the network refuses such images, its error as one sentence."""
        try:
            return self.network(prepared)
        except (RuntimeError, AssertionError) as error:
            if out_of_memory(error):
                raise
            raise refusal(self.name, prepared, error) from error

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """What the network sees: images of its size, with its channels, normalised; always a tensor of its own."""
        if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.is_floating_point():
            raise UserError(
                f"classifier '{self.name}' was given images {tuple(images.shape)} of {images.dtype}; give floating"
                " point numbers in [0, 1] of shape (N, C, H, W), C being 1 or 3."
            )
        images = adapt_channels(images.to(self.mean.dtype), self.channels)
        images = images if self.size is None else resize(images, self.size)
        # With mean 0 and std 1 too this makes a new tensor, so a network that works in place harms nobody.
        return (images - self.mean) / self.std

    def read(self, outputs: torch.Tensor) -> torch.Tensor:
        """The logits (N, K) that the network's outputs stand for."""
        check_outputs(self.name, outputs, self.every_class, self.sigmoid)
        outputs = outputs.to(self.mean.dtype)
        if self.sigmoid is not None:
            halves = outputs[:, list(self.sigmoid)] / 2
            outputs = torch.stack([-halves, halves], dim=2).flatten(1)
        if self.probabilities:
            outputs = outputs.clamp_min(torch.finfo(outputs.dtype).tiny).log()
        return (outputs / self.temperature)[:, self.columns]

    def score(self, targets: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function from images (N, C, H, W) to the log-odds (N,) of targets (N,), indices of classes.

        Raises UserError for a reader with several tasks; use `for_task` first.
        """
        if len(self.heads) > 1:
            raise UserError(f"classifier '{self.name}' has several tasks; choose one of: {', '.join(self.heads)}.")
        return lambda images: log_odds(self(images), targets)


def require_gradients(classifier: Classifier, method: str) -> None:
    """Raise UserError if `method` differentiates the classifier and that is a black box."""
    if not classifier.differentiable:
        raise UserError(
            f"method '{method}' needs gradients and classifier '{classifier.name}' gives none (it is a black"
            " box); use a method that asks for logits only, such as gcd or lime, or load the network by timm,"
            " torch_export, torchscript or entry_point."
        )


def log_odds(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """log p(t) - log(1 - p(t)) (N,) for logits (N, K) and targets t (N,); exact where p is 0 or 1 to rounding."""
    targets = targets.to(logits.device)[:, None]
    others = logits.scatter(1, targets, -torch.inf)
    return logits.gather(1, targets)[:, 0] - others.logsumexp(dim=1)


def side_by_side(heads: Mapping[str, Sequence[str]]) -> dict[str, Head]:
    """Give each task the columns after those of the task before: {task: classes} -> {task: Head}."""
    laid, start = {}, 0
    for task, classes in heads.items():
        laid[task] = Head(tuple(classes), slice(start, start + len(classes)))
        start += len(classes)
    return laid


def adapt_channels(images: torch.Tensor, channels: int) -> torch.Tensor:
    """Grey (N, 1, H, W) to RGB by repetition, RGB to grey by luma; as they are if they fit."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    red, green, blue = GREY_WEIGHTS
    return red * images[:, 0:1] + green * images[:, 1:2] + blue * images[:, 2:3]


def per_channel(name: str, option: str, value: float | Sequence[float], channels: int) -> torch.Tensor:
    """`mean` or `std` as (1, channels, 1, 1)."""
    values = [float(value)] * channels if isinstance(value, int | float) else [float(each) for each in value]
    if len(values) != channels:
        raise UserError(
            f"classifier '{name}': {option} has {len(values)} values for {channels} channel(s); give one number, or one"
            f" for each channel, such as {option}: {[0.5] * channels}."
        )
    if option == "std" and min(values) <= 0:
        raise UserError(f"classifier '{name}': std is {values}; every value must be above 0, such as 0.5.")
    return torch.tensor(values).reshape(1, channels, 1, 1)


def per_class(name: str, temperature: float | Mapping[str, float], heads: Mapping[str, Sequence[str]]) -> torch.Tensor:
    """The temperature (1, K) of each column of the logits."""
    by_task = temperature if isinstance(temperature, Mapping) else dict.fromkeys(heads, temperature)
    if set(by_task) != set(heads) or not all(0 < value < float("inf") for value in by_task.values()):
        raise UserError(
            f"classifier '{name}': temperature is {temperature}; give one number above 0, or one for each of the tasks"
            f" {', '.join(heads)}."
        )
    return torch.tensor([[float(by_task[task]) for task, classes in heads.items() for _ in classes]])
