"""Networks that a function of the person's own makes: any code behind the same contract."""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch

from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.sources import entry_point_file, make_importable, split_entry_point
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError, nearest


class FunctionNetwork(torch.nn.Module):
    """A plain function (N, C, H, W) -> (N, K) as a network.

    held_outside: the networks and tensors that it uses, which stay as the person made them.
    """

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function
        found = used_by(function)
        self.held_outside = tuple(each for each in found if isinstance(each, torch.nn.Module | torch.Tensor))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.function(images)


def used_by(function: Callable) -> list[object]:
    """What a function closes over or takes from its module, what a method is bound to, and an object's attributes."""
    function = inspect.unwrap(function)
    if isinstance(function, functools.partial):
        return [*function.args, *function.keywords.values(), *used_by(function.func)]
    if inspect.isfunction(function):
        found = inspect.getclosurevars(function)
        return [*found.nonlocals.values(), *found.globals.values()]
    owner = getattr(function, "__self__", function)
    return [owner, *getattr(owner, "__dict__", {}).values()]


def load(entry: Network) -> Classifier:
    """The classifier that an entry point makes; called without arguments, it returns a module or a function."""
    heads = require_classes(entry)
    made = find_function(entry)()
    if not callable(made):
        raise UserError(
            f"classifier '{entry.name}': entry_point {entry.source} returned a {type(made).__name__}, expected a"
            " torch.nn.Module or a function from images (N, C, H, W) to logits (N, K)."
        )
    return assemble(entry, made if isinstance(made, torch.nn.Module) else FunctionNetwork(made), heads)


def find_function(entry: Network) -> Callable[[], object]:
    """The function that "module:function" or "path/to/file.py:function" names; UserError if there is none."""
    where, function = split_entry_point(entry.name, entry.source)
    path = entry_point_file(entry.name, entry.source)
    make_importable(Path.cwd())
    module = import_path(path) if where.endswith(".py") else importlib.import_module(where)
    found = getattr(module, function, None)
    if not callable(found):
        guess = nearest(function, [word for word in vars(module) if callable(getattr(module, word))])
        hint = f"did you mean '{guess}'?" if guess else f"define `def {function}():` that returns the network."
        raise UserError(f"classifier '{entry.name}': {path} has no function '{function}'; {hint}")
    return found


def import_path(path: Path) -> ModuleType:
    """The module in a file, under a name of its own, with its neighbours importable."""
    path = path.resolve()
    make_importable(path.parent)
    name = f"entry_point_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
