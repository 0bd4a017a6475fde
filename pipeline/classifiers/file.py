"""Our own format: safetensors whose header tells everything that the network's training assumed."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.architecture import HUB_NAMES, create_network
from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.description import KEY, read_description
from pipeline.classifiers.entry import Network
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError
from pipeline.weights import load_state, read_safetensors


def build_network(
    architecture: str, options: Mapping[str, Any], heads: Mapping[str, Sequence[str]], name: str = "network"
) -> torch.nn.Module:
    """A timm network with fresh weights and one output for each class of each head, in order.

    Raises UserError for an unknown architecture or one of the hub, or options that it does not take: the description of
    a file leads to no other file and to no network.
    """
    if architecture.startswith(HUB_NAMES):
        raise UserError(
            f"classifier '{name}': the architecture '{architecture}' is one of the hub; name one that timm has, such as"
            " resnet18."
        )
    width = sum(len(classes) for classes in heads.values())
    if options.get("num_classes", width) != width:
        raise UserError(
            f"classifier '{name}': options say num_classes {options['num_classes']}, but its heads have {width}"
            " classes; leave num_classes out."
        )
    return create_network(name, architecture, {**options, "num_classes": width})


def save_classifier(
    module: torch.nn.Module,
    path: str | Path,
    *,
    architecture: str,
    options: Mapping[str, Any],
    heads: Mapping[str, Sequence[str]],
    size: int | None,
    mean: float | Sequence[float],
    std: float | Sequence[float],
    temperature: float | Mapping[str, float] = 1.0,
    extra_metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a network's weights and description to `path`, whole or not at all; equal input gives equal bytes.

    module: `build_network(architecture, options, heads)`, trained; on any device. extra_metadata: plain JSON.
    """
    from safetensors.torch import save

    description = {
        "architecture": architecture,
        "options": sorted_json(options),
        "heads": {task: list(classes) for task, classes in heads.items()},
        "size": size,
        "mean": mean if isinstance(mean, int | float) else list(mean),
        "std": std if isinstance(std, int | float) else list(std),
        "temperature": dict(temperature) if isinstance(temperature, Mapping) else temperature,
        "metadata": sorted_json(extra_metadata or {}),
    }
    # Heads are ordered by their columns, so keys stay in the order given.
    text = json.dumps(description, separators=(",", ":"), allow_nan=False)
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in module.state_dict().items()}
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "wb") as file:
        file.write(save(state, {KEY: text}))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def sorted_json(value: Any) -> Any:
    """Plain JSON with sorted keys."""
    return json.loads(json.dumps(value, sort_keys=True))


def load(entry: Network) -> Classifier:
    """The classifier in a file of our own format."""
    path = existing_file(entry.name, entry.source)
    description = read_description(path, entry.name)
    heads, options = description["heads"], description["options"]
    network = build_network(description["architecture"], options, heads, entry.name)
    owner = f"classifier '{entry.name}'"
    load_state(owner, network, read_safetensors(owner, path), path)
    return assemble(
        entry,
        network,
        heads,
        size=description["size"],
        channels=options.get("in_chans", 3),
        mean=description["mean"],
        std=description["std"],
        temperature=description["temperature"],
    )
