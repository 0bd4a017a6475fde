"""The identity of what a network, generator or in-filler computes, for the row store."""

from collections.abc import Mapping
from typing import Any

from pipeline.classifiers.entry import LOADERS
from pipeline.diffusion.entry import LOADERS as GENERATOR_LOADERS
from pipeline.fingerprint import fingerprint, release
from pipeline.infill.declared import architectures

LIBRARIES = {
    "file": ["torch", "timm"],
    "timm": ["torch", "timm"],
    "torchvision": ["torch", "torchvision"],
    "onnx": ["onnxruntime"],
}


def network_identity(entry: Mapping[str, Any], identity: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """All that decides what a network answers: files and options, the code that loads and wraps it, its library."""
    kind = next(kind for kind in LOADERS if kind in entry)
    modules = ["pipeline.classifiers.load", LOADERS[kind].split(":")[0]]
    return {
        "network": dict(identity),
        "seed": seed if entry.get("classifier_perturbation") else None,
        "code": [fingerprint(module, deciding=True) for module in modules],
        "libraries": {name: release(name) for name in LIBRARIES.get(kind, ["torch"])},
    }


def generator_identity(entry: Mapping[str, Any], identity: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what a generator answers: its files and options, the code that loads it, its libraries."""
    kind = next(kind for kind in GENERATOR_LOADERS if kind in entry)
    modules = ["pipeline.diffusion.load", GENERATOR_LOADERS[kind].split(":")[0]]
    return {
        "generator": dict(identity),
        "code": [fingerprint(module, deciding=True) for module in modules],
        "libraries": {name: release(name) for name in ["torch", *(["diffusers"] if kind == "diffusers" else [])]},
    }


def filler_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what an in-filler with weights fills in: its file, the code of its network, its library.

    identity: empty where its file is not there to tell what it is.
    """
    modules = ["pipeline.infill.file"]
    if identity:
        modules.append(architectures()[identity["kind"]].network.split(":")[0])
    return {
        "filler": dict(identity),
        "code": [fingerprint(module, deciding=True) for module in modules],
        "libraries": {"torch": release("torch")},
    }
