"""Grad-CAM: the feature maps of a late layer, weighted by what the score of the target gains from each.

The layer is found, not asked for, in convolutional networks as in transformers: see `find_layer`.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from pipeline.classifiers.wrap import Classifier, log_odds, require_gradients
from pipeline.device import in_batches
from pipeline.errors import UserError, nearest
from pipeline.explain.gradients import class_score
from pipeline.explain.maps import Maps
from pipeline.infill import Infill
from pipeline.noise import Noise

PURPOSE = "grad-cam"
PROBE_IMAGES = 2  # so that an output without a batch dimension is not taken for a map


@dataclass(frozen=True)
class Layout:
    """Where the grid (height, width) lies in the output of a layer.

    kind: "channels-first" (N, D, h, w), "channels-last" (N, h, w, D) or "tokens" (N, prefix + h * w, D).
    prefix: tokens that stand before the patches (class and register tokens) and have no place in the image.
    """

    kind: str
    height: int
    width: int
    prefix: int = 0

    def to_grid(self, output: torch.Tensor) -> torch.Tensor:
        """The output as feature maps (N, D, h, w)."""
        if self.kind == "channels-first":
            return output
        if self.kind == "channels-last":
            return output.permute(0, 3, 1, 2)
        patches = output[:, self.prefix :].transpose(1, 2)
        return patches.unflatten(2, (self.height, self.width))

    def from_grid(self, grid: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """The output again, with the feature maps (N, D, h, w) in their place."""
        if self.kind == "channels-first":
            return grid
        if self.kind == "channels-last":
            return grid.permute(0, 2, 3, 1)
        return torch.cat([output[:, : self.prefix], grid.flatten(2).transpose(1, 2)], dim=1)


@dataclass(frozen=True)
class Layer:
    """A layer whose output keeps a grid. gains: whether the score depends on that grid; dims: of its output."""

    name: str
    layout: Layout
    dims: tuple[int, ...]
    gains: bool


def explain(
    classifier: Classifier,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    noise: Noise,
    infill: Infill | None = None,
    batch_size: int = 64,
    progress: Callable[[int], object] | None = None,
    layer: str | None = None,
    smallest_grid: int = 4,
    positive: bool = True,
    score: str = "log-odds",
) -> Maps:
    """Feature maps weighted by their mean gradient, summed (Selvaraju et al. 2017, equations 1 and 2; captum).

    images: (N, 3, H, W) in [0, 1]; targets: (N,) indices of classes. Draws no noise and fills nothing in.
    layer: dotted name of a module of the network; None for the last one that keeps a grid on which the score depends.
    smallest_grid: cells that each side of such a grid should have; the last layer of a network made for large images
        has hardly any left of a small one, and says nothing of where. If none has as many, the last one is taken.
    positive: whether to cut the map at 0, as published. score: "log-odds" of the target, or its "logit", as published.

    Returns maps (N, h, w) at the resolution of the layer; one network evaluation for each image.
    """
    from captum.attr import LayerGradCam

    require_gradients(classifier, "grad-cam")
    forward = class_score("grad-cam", classifier, score)
    found = find_layer(classifier, images.shape[-2:], layer, smallest_grid)
    with feature_maps(classifier.network.get_submodule(found.name), found.layout) as maps_of_layer:
        method = LayerGradCam(forward, maps_of_layer)

        def explain_batch(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return method.attribute(images, additional_forward_args=targets, relu_attributions=positive)[:, 0]

        maps = in_batches(
            explain_batch, images, targets, batch_size=batch_size, device=classifier.mean.device, progress=progress
        )
    return Maps(maps.float(), None, torch.full((len(images),), 1), None)


@contextmanager
def feature_maps(module: torch.nn.Module, layout: Layout) -> Iterator[torch.nn.Module]:
    """Lead the output of a layer, as feature maps (N, D, h, w), through a module that captum can attribute to.

    captum averages gradients over all but the first two dimensions, which is right for (N, D, h, w) alone; tokens
    without a place in the image pass by.
    """
    passage = torch.nn.Identity()

    def lead_through(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> torch.Tensor:
        return layout.from_grid(passage(layout.to_grid(output)), output)

    handle = module.register_forward_hook(lead_through)
    try:
        yield passage
    finally:
        handle.remove()


def find_layer(classifier: Classifier, size: tuple[int, int], name: str | None = None, smallest_grid: int = 4) -> Layer:
    """The layer called `name`, or else the last one, in order of execution, that keeps a grid and counts.

    A grid counts if the score has a gradient by it: after the last attention of a transformer that reads its class
    token alone, the patches no longer do. Of a network that ends in tokens, linear layers and tokens of another width
    are left out, since they are steps within a block. The choice depends on the network and the size of the images,
    (H, W), never on the images. Raises UserError, naming a valid layer, if there is none.
    """
    layers = layers_with_grid(classifier, size)
    counted = [layer for layer in layers if layer.gains and comparable(layer, layers[-1], classifier)]
    fine = [layer for layer in counted if min(layer.layout.height, layer.layout.width) >= smallest_grid]
    best = (fine or counted or [None])[-1]
    if name is None:
        if best is None:
            raise UserError(
                f"method 'grad-cam' finds no layer with a map in classifier '{classifier.name}' (it may be compiled, as"
                " by torch_export or torchscript); load the network by timm or entry_point, or use a method such as"
                " occlusion or lime."
            )
        return best
    named = {layer.name: layer for layer in layers}
    if name in named:
        return named[name]
    instead = "occlusion or lime" if best is None else f"'{best.name}', which is found without the option"
    if any(name == known for known, _ in classifier.network.named_modules()):
        raise UserError(
            f"method 'grad-cam': layer '{name}' of classifier '{classifier.name}' keeps no grid of positions; use"
            f" {instead}."
        )
    close = nearest(name, named)
    hint = f"did you mean '{close}'?" if close else f"use {instead}."
    raise UserError(f"method 'grad-cam': classifier '{classifier.name}' has no layer '{name}'; {hint}")


def comparable(layer: Layer, last: Layer, classifier: Classifier) -> bool:
    """Whether a layer holds what the last one holds, at an earlier depth."""
    module = classifier.network.get_submodule(layer.name)
    if last.layout.kind == "tokens":
        return layer.layout == last.layout and layer.dims == last.dims and not isinstance(module, torch.nn.Linear)
    return layer.layout.kind == last.layout.kind and not isinstance(module, torch.nn.AdaptiveAvgPool2d)


def layers_with_grid(classifier: Classifier, size: tuple[int, int]) -> list[Layer]:
    """Every layer of the network whose output keeps a grid, in order of execution.

    Found by one forward and backward pass of noise, drawn from a generator of its own.
    """
    device = classifier.mean.device
    generator = torch.Generator().manual_seed(0)
    probe = torch.rand(PROBE_IMAGES, classifier.channels, *size, generator=generator).to(device)
    outputs: dict[str, torch.Tensor] = {}

    def record(name: str) -> Callable[..., None]:
        def hook(module: torch.nn.Module, inputs: tuple, output: object) -> None:
            if isinstance(output, torch.Tensor) and output.requires_grad:
                outputs.pop(name, None)
                outputs[name] = output

        return hook

    handles = [
        module.register_forward_hook(record(name)) for name, module in classifier.network.named_modules() if name
    ]
    try:
        with torch.enable_grad():
            logits = classifier(probe.requires_grad_())
            gain = log_odds(logits, torch.zeros(PROBE_IMAGES, dtype=torch.int64, device=device)).sum()
            slopes = torch.autograd.grad(gain, list(outputs.values()), allow_unused=True) if outputs else ()
    finally:
        for handle in handles:
            handle.remove()
    seen = classifier.prepare(probe.detach()).shape[-2:]
    prefix = prefix_tokens(classifier.network)
    layers = []
    for (name, output), slope in zip(outputs.items(), slopes, strict=True):
        layout = layout_of(output.shape, seen, prefix)
        if layout is not None:
            gains = slope is not None and bool(layout.to_grid(slope).any())
            layers.append(Layer(name, layout, tuple(output.shape[1:]), gains))
    return layers


def prefix_tokens(network: torch.nn.Module) -> int | None:
    """The number of class and register tokens, if some module of the network says it (timm's transformers do)."""
    said = [getattr(module, "num_prefix_tokens", None) for module in network.modules()]
    return next((count for count in said if isinstance(count, int)), None)


def layout_of(shape: torch.Size, size: tuple[int, int], prefix: int | None) -> Layout | None:
    """The layout of an output of that shape, for images of `size` (H, W); None where there is no grid.

    prefix: tokens without a place in the image; None if unknown: then as few as leave a grid shaped like the image.
    """
    if len(shape) == 4 and shape[0] == PROBE_IMAGES:
        for kind, (height, width) in (("channels-first", shape[2:]), ("channels-last", shape[1:3])):
            if height * width > 1 and similar(height / width, size[0] / size[1]):
                return Layout(kind, height, width)
    if len(shape) == 3 and shape[0] == PROBE_IMAGES:
        for before in range(shape[1] - 1) if prefix is None else (prefix,):
            patches = shape[1] - before
            height = round(math.sqrt(max(patches, 0) * size[0] / size[1]))
            if patches > 1 and height and height * (patches // height) == patches:
                width = patches // height
                if similar(height / width, size[0] / size[1]):
                    return Layout("tokens", height, width, before)
    return None


def similar(first: float, second: float) -> bool:
    """Whether two aspect ratios differ by less than the rounding of a small grid."""
    return abs(math.log(first / second)) < 0.2
