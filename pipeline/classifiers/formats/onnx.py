"""Networks in ONNX, run by onnxruntime: black boxes that answer with logits and give no gradients."""

from pathlib import Path

import numpy
import torch

from pipeline.classifiers.assemble import assemble
from pipeline.classifiers.entry import Network, require_classes
from pipeline.classifiers.formats.shapes import InputShape, in_allowed_batches, settle
from pipeline.classifiers.sources import existing_file, external_weights
from pipeline.classifiers.wrap import Classifier
from pipeline.errors import UserError, listed

NUMBERS = {"tensor(float)": numpy.float32, "tensor(float16)": numpy.float16, "tensor(double)": numpy.float64}


class OnnxNetwork(torch.nn.Module):
    """An ONNX file as a network: (N, C, H, W) -> (N, K), for any N, on the device of the images where possible."""

    def __init__(self, name: str, path: Path) -> None:
        super().__init__()
        self.path = path
        self.sessions = {"cpu": open_session(name, path, "CPUExecutionProvider")}
        self.input = only(name, "input", self.sessions["cpu"].get_inputs())
        only(name, "output", self.sessions["cpu"].get_outputs())
        if self.input.type not in NUMBERS or len(self.input.shape) != 4:
            raise UserError(
                f"classifier '{name}': {path} takes {self.input.type} of shape {self.input.shape}, expected floating"
                " point images (N, C, H, W); export it so."
            )
        self.name = name
        batch, *fixed = (length if isinstance(length, int) else None for length in self.input.shape)
        self.shape = InputShape(*fixed, fewest=batch or 1, most=batch)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return in_allowed_batches(self.run, images, self.shape)

    def run(self, images: torch.Tensor) -> torch.Tensor:
        """One batch of a size that the file allows."""
        from onnxruntime.capi import onnxruntime_pybind11_state as failures

        pixels = images.detach().cpu().numpy().astype(NUMBERS[self.input.type], copy=False)
        try:
            (outputs,) = self.session(images.device).run(None, {self.input.name: pixels})
        except (failures.Fail, failures.InvalidArgument, failures.RuntimeException) as error:
            raise RuntimeError(str(error)) from error
        return torch.from_numpy(outputs).to(images.device)

    def session(self, device: torch.device):
        """The session for a device: CUDA if this onnxruntime has it, else the CPU's."""
        import onnxruntime

        if device.type == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            if "cuda" not in self.sessions:
                self.sessions["cuda"] = open_session(self.name, self.path, "CUDAExecutionProvider")
            return self.sessions["cuda"]
        return self.sessions["cpu"]


def load(entry: Network) -> Classifier:
    """The classifier in an ONNX file. A fixed batch or image size is adapted to."""
    heads = require_classes(entry)
    path = existing_file(entry.name, entry.source)
    for beside in external_weights(path):
        existing_file(entry.name, beside)
    network = OnnxNetwork(entry.name, path)
    size, channels = settle(entry, network.shape)
    return assemble(entry, network, heads, size=size, channels=channels, differentiable=False)


def open_session(name: str, path: Path, provider: str):
    """An onnxruntime session with as many threads as torch uses."""
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as failures

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except (
        failures.Fail,
        failures.InvalidArgument,
        failures.InvalidGraph,
        failures.InvalidProtobuf,
        failures.NotImplemented,
        failures.RuntimeException,
    ) as error:
        raise UserError(
            f"classifier '{name}': onnxruntime cannot open {path} ({str(error).strip().splitlines()[0]}); export it"
            " again, with an opset that this onnxruntime knows."
        ) from error


def only(name: str, kind: str, nodes: list):
    """The one input or output of a session; UserError if there are several."""
    if len(nodes) != 1:
        raise UserError(
            f"classifier '{name}': the ONNX network has {len(nodes)} {kind}s ({listed(node.name for node in nodes)}),"
            " expected one, images in and logits out; export it so."
        )
    return nodes[0]
