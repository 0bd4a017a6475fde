"""From a study's entry to a network that measures: a classifier of ours by its own name, or a published network."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch

from pipeline.classifiers.load import load_classifier
from pipeline.metrics.features import ClassifierFeatures
from pipeline.metrics.networks import AS_PUBLISHED, LOADERS


def load_measuring(name: str, entry: Mapping[str, Any], *, as_published: bool = False) -> torch.nn.Module:
    """The network of an entry, on the CPU: see `pipeline.metrics.features` for what it does.

    entry: one key of LOADERS with a path, and options of its function; without such a key, that of a classifier called
    `name`. as_published: with the options of Vaeth et al. 2023. Raises UserError for a missing, altered or unsuitable
    file.
    """
    kind = next((kind for kind in LOADERS if kind in entry), None)
    if kind is None:
        return ClassifierFeatures(load_classifier(name, entry))
    module, function = LOADERS[kind].split(":")
    options = {key: value for key, value in entry.items() if key != kind and value is not None}
    if as_published:
        options |= AS_PUBLISHED.get(kind, {})
    return getattr(import_module(module), function)(entry[kind], **options)
