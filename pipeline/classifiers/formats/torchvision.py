"""Networks of torchvision, with weights of a local file or fresh ones."""

from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.architecture import fresh
from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.formats.timm import check_width
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError, nearest
from pipeline.imagenet import class_names
from pipeline.weights import Checkpoint, load_state, read_checkpoint


def load(entry: Network) -> Classifier:
    """A classifier of torchvision; size, mean and std are those of its published weights unless its file says them.

    A checkpoint of the library `robustness` says mean and std. Without `classes` it tells those of ImageNet.
    """
    check_entry(entry)
    if entry.random_weights is None:
        network, checkpoint = trained(entry)
    else:
        with fresh(entry.random_weights):
            network, checkpoint = build(entry, expected_width(entry)), Checkpoint({})
    size, mean, std = published_input(entry)
    return assemble(
        entry,
        network,
        label_names(entry, network),
        size=size,
        mean=checkpoint.mean or mean,
        std=checkpoint.std or std,
    )


def check_entry(entry: Network) -> None:
    """Raise UserError unless torchvision has a classifier of that name and the entry says which weights."""
    from torchvision import models

    known = models.list_models(module=models)
    if entry.source not in known:
        guess = nearest(entry.source, known)
        hint = f"did you mean '{guess}'?" if guess else f"there are {', '.join(known)}."
        raise UserError(f"classifier '{entry.name}': torchvision has no classifier '{entry.source}'; {hint}")
    if "num_classes" in entry.arguments:
        raise UserError(f"classifier '{entry.name}': options has num_classes; leave it out, the weights decide it.")
    if entry.checkpoint is None and entry.random_weights is None:
        raise UserError(
            f"classifier '{entry.name}': torchvision's {entry.source} needs `checkpoint`, a local file of its weights"
            f" (published: {published_weights(entry.source)[0].url}), or `random_weights: 1` for fresh ones."
        )


def trained(entry: Network) -> tuple[torch.nn.Module, Checkpoint]:
    """The architecture with as many outputs as the checkpoint has, and exactly its weights."""
    path = existing_file(entry.name, entry.checkpoint)
    owner = f"classifier '{entry.name}'"
    checkpoint = read_checkpoint(owner, path)
    width = expected_width(entry)
    network = build(entry, width)
    last = last_weight(network)
    if last in checkpoint.weights and len(checkpoint.weights[last]) != width:
        width = len(checkpoint.weights[last])
        check_width(entry, width, path)
        network = build(entry, width)
    load_state(owner, network, checkpoint.weights, path)
    return network, checkpoint


def build(entry: Network, width: int) -> torch.nn.Module:
    """The architecture with that many outputs, with fresh weights."""
    from torchvision.models import get_model

    try:
        return get_model(entry.source, weights=None, num_classes=width, **entry.arguments).eval()
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(
            f"classifier '{entry.name}': torchvision cannot build {entry.source} with the options"
            f" {entry.arguments} ({error}); give keyword arguments that the architecture takes."
        ) from error


def expected_width(entry: Network) -> int:
    """The number of outputs that the entry lets expect."""
    if entry.classes is None:
        return len(class_names())
    return sum(len(names) for names in require_classes(entry).values())


def last_weight(network: torch.nn.Module) -> str:
    """Name of the last weight, which in every classifier of torchvision has one row for each output."""
    return list(network.state_dict())[-1]


def label_names(entry: Network, network: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """The entry's class names, or those of ImageNet for 1,000 outputs; UserError for another number without names."""
    width = len(network.state_dict()[last_weight(network)])
    if entry.classes is not None or entry.sigmoid is not None or width != len(class_names()):
        return require_classes(entry)
    return {entry.task or "label": class_names()}


def published_weights(name: str) -> list[Any]:
    """What torchvision says of the published weights of a network, the first ones first."""
    from torchvision.models import get_model_weights

    return list(get_model_weights(name))


def published_input(entry: Network) -> tuple[int, list[float], list[float]]:
    """Size, mean and std of the published weights: of those with the name of the entry's file, else of the first."""
    file = Path(entry.checkpoint or "").name
    every = published_weights(entry.source)
    transforms = next((each for each in every if each.url.endswith(f"/{file}")), every[0]).transforms()
    return transforms.crop_size[0], transforms.mean, transforms.std
