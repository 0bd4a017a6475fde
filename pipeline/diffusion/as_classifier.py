"""A classifier of noisy images (Dhariwal & Nichol 2021) as a classifier of clean ones: at timestep 0."""

from pathlib import Path

import torch

from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.diffusion.description import Description, published
from pipeline.diffusion.file import load_model
from pipeline.diffusion.roles import KINDS
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.errors import UserError
from pipeline.imagenet import class_names


class AtTheStart(torch.nn.Module):
    """The network at timestep 0, where its training added next to no noise: images (N, 3, H, W) to logits (N, K)."""

    def __init__(self, network: NoisyClassifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images, torch.zeros(len(images), device=images.device))


def load(entry: Network) -> Classifier:
    """The noisy classifier in a file of ours, or in an official one of the entry's preset or shape.

    Classes are the entry's, else those that the file tells, else for 1,000 outputs those of ImageNet. Raises UserError
    for weights that do not fit, and for a file of something else.
    """
    owner = f"classifier '{entry.name}'"
    path = existing_file(entry.name, entry.source)
    network, description = load_model(path, owner, described(entry, path, owner))
    if description.kind != "noisy-classifier":
        raise UserError(f"{owner}: {path} holds {KINDS[description.kind]}; give the file of a noisy classifier.")
    classes = description.classes
    if classes is None and description.shape.out_channels == len(class_names()):
        classes = class_names()
    heads = require_classes(entry) if entry.classes or not classes else {entry.task or "label": tuple(classes)}
    size = description.shape.size
    if entry.size not in (None, size):
        raise UserError(f"{owner}: size is {entry.size}, but the network takes {size} only; leave size out.")
    return assemble(entry, AtTheStart(network), heads, size=size, mean=0.5, std=0.5)


def described(entry: Network, path: Path, owner: str) -> Description | None:
    """What an official file is, by preset and shape; None for a file of ours, which says it."""
    if entry.preset is None and not entry.shape:
        if path.suffix == ".safetensors":
            return None
        raise UserError(
            f"{owner}: {path} does not say what it is; add the name of a published network, such as"
            " `preset: imagenet-256-classifier`, or its `shape`."
        )
    try:
        known = published(entry.preset, entry.shape)
    except UserError as error:
        raise UserError(f"{owner}: {error}.") from error
    if entry.preset is not None and known.kind != "noisy-classifier":
        raise UserError(f"{owner}: {entry.preset} is a {known.kind}; a classifier is imagenet-256-classifier.")
    return Description("noisy-classifier", known.shape, known.schedule)
