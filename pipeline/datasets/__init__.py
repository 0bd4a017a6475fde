"""Where the images of a study come from: one module per kind of dataset, chosen by the option that names it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from pipeline.datasets.declared import kinds
from pipeline.datasets.source import Sample, Source
from pipeline.errors import UserError

__all__ = ["Sample", "Source", "manifest", "open_dataset"]


def open_dataset(options: Mapping, split: str, seed: int) -> Source:
    """The candidates of one split of the dataset that the options describe, such as {"world": "portraits", "size": 64}.

    UserError for wrong values; images are neither decoded nor rendered yet.
    """
    module, function = kinds()[kind(options)].read.split(":")
    return getattr(import_module(module), function)(complete(options), split, seed)


def manifest(options: Mapping) -> str:
    """JSON of the files that the dataset reads, which changes when one of them does; empty for a world."""
    return import_module(kinds()[kind(options)].read.split(":")[0]).manifest(complete(options))


def complete(options: Mapping) -> dict:
    """The options with the defaults of those that are not there."""
    return {**kinds()[kind(options)].model_construct().model_dump(mode="json"), **options}


def kind(options: Mapping) -> str:
    """Which kind of dataset the options describe; UserError unless they name exactly one."""
    named = [name for name in kinds() if options.get(name) is not None]
    if len(named) != 1:
        there = f"names {' and '.join(named)}" if named else "names no kind of images"
        raise UserError(f"dataset {there}; write exactly one of {', '.join(kinds())}, for example world: portraits.")
    return named[0]
