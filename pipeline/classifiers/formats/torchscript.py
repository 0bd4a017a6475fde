"""Networks saved by torch.jit.save, scripted or traced."""

import torch

from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.formats.programs import code_in_script, refuse_code
from pipeline.classifiers.sources import existing_file
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError


def load(entry: Network) -> Classifier:
    """The classifier in a TorchScript file. It does not tell the size that it wants; without `size`, any is tried."""
    heads = require_classes(entry)
    path = existing_file(entry.name, entry.source)
    try:
        refuse_code(entry, code_in_script(str(path)))
        network = torch.jit.load(str(path), map_location="cpu")
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"classifier '{entry.name}': {path} is not a TorchScript file, or is incomplete; save the network with"
            f" torch.jit.save, or for weights alone give `timm: <architecture>` with `checkpoint: {path}`."
        ) from error
    refuse_training_mode(entry, network)
    return assemble(entry, network, heads)


def refuse_training_mode(entry: Network, network: torch.jit.ScriptModule) -> None:
    """Raise UserError for a network traced in training mode, which evaluation mode cannot undo."""
    graph = network.inlined_graph
    for operation, place in (("aten::batch_norm", 5), ("aten::dropout", 2)):  # the argument that says whether to train
        for node in graph.findAllNodes(operation):
            if list(node.inputs())[place].toIValue() is True:
                raise UserError(
                    f"classifier '{entry.name}': the network in {entry.source} was traced in training mode"
                    f" ({operation.removeprefix('aten::')}), so that its answer for an image would depend on the other"
                    " images; trace it again after `.eval()`."
                )
