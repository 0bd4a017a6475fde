"""The kinds of datasets that a study can name: what is known of each before it is opened, in a file of its own.

Found by folder, so that nothing else names a kind; none is in the fingerprint of any code, but what it reads with is.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from pipeline.datasets.sections import DatasetKind


@cache
def kinds() -> dict[str, type[DatasetKind]]:
    """The declarations by the keys that choose them, which are the names of their files."""
    return {each.name: declared(each.name) for each in iter_modules(__path__)}


def declared(key: str) -> type[DatasetKind]:
    """The class with that key in the file of that name."""
    module = import_module(f"{__name__}.{key}")
    classes = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, DatasetKind)]
    (found,) = (each for each in classes if key in each.model_fields)
    return found
