"""Networks saved by torch.export.save."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from zipfile import BadZipFile

import torch

from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.formats.programs import code_in_export, refuse_code
from pipeline.classifiers.formats.shapes import InputShape, in_allowed_batches, settle
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError

TRAINING_FLAG = {"batch_norm": 5, "dropout": 2}
"""The argument of these operations that says whether they train."""
UNREADABLE = (
    *(BadZipFile, UnpicklingError, RuntimeError, AssertionError, ValueError, LookupError),
    *(TypeError, AttributeError),
)
"""What reading a file raises that is no program, or of another version."""


class ExportedNetwork(torch.nn.Module):
    """An exported program as a network: (N, C, H, W) -> (N, K), for any N."""

    def __init__(self, program: torch.nn.Module, shape: InputShape) -> None:
        super().__init__()
        self.program = program
        self.shape = shape

    def train(self, mode: bool = True) -> "ExportedNetwork":
        """Stay as exported: a program has no other mode, and torch raises if asked."""
        return self

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return in_allowed_batches(self.program, images, self.shape)


def load(entry: Network) -> Classifier:
    """The classifier in a .pt2 file. A fixed batch or image size is adapted to."""
    heads = require_classes(entry)
    path = existing_file(entry.name, entry.source)
    program = read_program(entry, path)
    refuse_training_mode(entry, program)
    shape = input_shape(entry, program)
    size, channels = settle(entry, shape)
    return assemble(entry, ExportedNetwork(program.module(), shape), heads, size=size, channels=channels)


def read_program(entry: Network, path: Path) -> torch.export.ExportedProgram:
    """The program in a file; UserError if it is none, or holds more than a graph."""
    try:
        refuse_code(entry, code_in_export(str(path)))
        with open(path, "rb") as file, weights_only(), quiet():
            return torch.export.load(file)
    except UNREADABLE as error:
        raise UserError(
            f"classifier '{entry.name}': {path} cannot be read as an exported program ({type(error).__name__}): it is"
            " of another kind, incomplete, from another torch version, or holds code; save it again with"
            " torch.export.save."
        ) from error


@contextmanager
def weights_only() -> Iterator[None]:
    """Within, torch.load refuses pickled code, also where torch.export.load would allow it."""
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


@contextmanager
def quiet() -> Iterator[None]:
    """Within, warnings are not logged: torch logs a traceback for what the person is told in one sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def input_shape(entry: Network, program: torch.export.ExportedProgram) -> InputShape:
    """What the program fixes about its one input (N, C, H, W)."""
    names = program.graph_signature.user_inputs
    shapes = [node.meta["val"].shape for node in program.graph.nodes if node.name in names]
    if len(shapes) != 1 or len(shapes[0]) != 4:
        raise UserError(
            f"classifier '{entry.name}': the program in {entry.source} has inputs of shapes"
            f" {[tuple(shape) for shape in shapes]}, expected one of (N, C, H, W); export a network of images alone."
        )
    batch, *fixed = shapes[0]
    channels, height, width = (length if isinstance(length, int) else None for length in fixed)
    if isinstance(batch, int):
        return InputShape(channels, height, width, fewest=batch, most=batch)
    bounds = program.range_constraints.get(batch.node.expr)
    if bounds is None:
        return InputShape(channels, height, width)
    most = int(bounds.upper) if bounds.upper.is_finite and bounds.upper < 2**31 else None
    return InputShape(channels, height, width, fewest=max(1, int(bounds.lower)), most=most)


def refuse_training_mode(entry: Network, program: torch.export.ExportedProgram) -> None:
    """Raise UserError for a program exported in training mode, which nothing can undo."""
    for node in program.graph.nodes:
        operation = str(node.target)
        if "no_training" in operation or not any(kind in operation for kind in TRAINING_FLAG):
            continue
        place = TRAINING_FLAG["batch_norm" if "batch_norm" in operation else "dropout"]
        if len(node.args) > place and node.args[place] is True:
            raise UserError(
                f"classifier '{entry.name}': the network in {entry.source} was exported in training mode ({operation}),"
                " so that its answer for an image would depend on the other images; export it again after `.eval()`."
            )
