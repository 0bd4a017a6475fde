"""Networks of timm, with local weights or the pretrained ones of the hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.architecture import HUB_NAMES, check_architecture, create_network, fresh
from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.formats.hub import pretrained_network
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.imagenet import short_names
from pipeline.weights import Checkpoint, load_state, read_checkpoint


def load(entry: Network) -> Classifier:
    """A timm network; size, mean and std are those of its pretrained configuration unless the entry says otherwise."""
    from timm.data import resolve_model_data_config

    for option in ("num_classes", "in_chans"):
        if option in entry.arguments:
            raise UserError(
                f"classifier '{entry.name}': options has {option}; leave it out, the weights decide the outputs and"
                " `channels` the input."
            )
    network, checkpoint = find_network(entry)
    data = resolve_model_data_config(network, args={"img_size": entry.arguments.get("img_size")})
    channels = entry.channels or data["input_size"][0]
    heads = label_names(entry, network) if entry.classes is None else require_classes(entry)
    for option in ("mean", "std"):
        if getattr(checkpoint, option) is not None:
            data[option] = getattr(checkpoint, option)
        if getattr(entry, option) is None and len(data[option]) != channels:
            raise UserError(
                f"classifier '{entry.name}': timm tells {option} for {len(data[option])} channels, but channels is"
                f" {channels}; give {option} as in training, such as `{option}: 0.5`."
            )
    return assemble(
        entry, network, heads, size=data["input_size"][-1], channels=channels, mean=data["mean"], std=data["std"]
    )


def find_network(entry: Network) -> tuple[torch.nn.Module, Checkpoint]:
    """The network with its weights: fresh ones, those of a local file, or the pretrained ones of the hub."""
    if entry.checkpoint is not None:
        return local_network(entry)
    if entry.random_weights is None:
        return pretrained_network(entry), Checkpoint({})
    options = {**entry.arguments, **({} if entry.channels is None else {"in_chans": entry.channels})}
    if entry.classes is not None:
        options["num_classes"] = sum(len(names) for names in require_classes(entry).values())
    with fresh(entry.random_weights):
        return create_network(entry.name, entry.source, options), Checkpoint({})


def local_network(entry: Network) -> tuple[torch.nn.Module, Checkpoint]:
    """The architecture with as many outputs as the checkpoint has, and exactly its weights."""
    import timm

    check_architecture(entry.name, entry.source)
    if entry.source.startswith(HUB_NAMES):
        raise UserError(
            f"classifier '{entry.name}': {entry.source} brings its own weights; leave out checkpoint, or name the"
            " architecture alone, such as `timm: resnet18`."
        )
    path = existing_file(entry.name, entry.checkpoint)
    owner = f"classifier '{entry.name}'"
    checkpoint = read_checkpoint(owner, path)
    configuration = timm.get_pretrained_cfg(entry.source)
    options: dict[str, Any] = dict(entry.arguments)
    width = output_width(configuration.classifier if configuration else None, checkpoint.weights)
    if width is not None:
        check_width(entry, width, path)
        options["num_classes"] = width
    if entry.channels is not None:
        options["in_chans"] = entry.channels
    network = create_network(entry.name, entry.source, options)
    load_state(owner, network, checkpoint.weights, path)
    return network, checkpoint


def output_width(layers: str | Sequence[str] | None, state: Mapping[str, torch.Tensor]) -> int | None:
    """The number of outputs of the weights, told by their last layer; None if they do not have it."""
    for layer in [layers] if isinstance(layers, str) else layers or []:
        if f"{layer}.weight" in state:
            return len(state[f"{layer}.weight"])
    return None


def check_width(entry: Network, width: int, path: Path) -> None:
    """Raise UserError if the entry's classes are not as many as the outputs of the weights."""
    if entry.classes is None or entry.sigmoid is not None:
        return
    count = sum(len(classes) for classes in require_classes(entry).values())
    if count != width:
        raise UserError(
            f"classifier '{entry.name}': {path} has {width} outputs, but `classes` has {count} names; give {width}, in"
            " the order of the outputs, or for a multi-label network the column to read, such as `output:"
            " {sigmoid: 0}`."
        )


def label_names(entry: Network, network: torch.nn.Module) -> dict[str, tuple[str, ...]]:
    """The class names that timm knows for the network's weights; UserError if it knows none."""
    from timm.data import ImageNetInfo, infer_imagenet_subset

    names = network.pretrained_cfg.get("label_names")
    subset = infer_imagenet_subset({"num_classes": network.num_classes})
    if names is None and subset is not None:
        info = ImageNetInfo(subset)
        names = short_names(info.label_descriptions(), info.label_names())
    if names is None or len(names) != network.num_classes or entry.sigmoid is not None:
        return require_classes(entry)
    return {entry.task or "label": tuple(names)}
