"""What the row store keeps: the columns of its rows, and all that decides one. Known without torch.

The stages that compute rows use these, and so do the commands that tell which rows a study needs.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow

from pipeline.explain import COUNTERFACTUALS, SALIENCY
from pipeline.fingerprint import fingerprint
from pipeline.infill import INFILLS
from pipeline.stages.networks import release
from pipeline.tables.schemas import SCHEMAS

LOGITS = pyarrow.schema([("logits", pyarrow.list_(pyarrow.float32()))])
MAPS = pyarrow.schema(
    [
        ("map", pyarrow.binary()),
        ("shape", pyarrow.list_(pyarrow.int32())),
        ("objective_value", pyarrow.float32()),
        ("steps", pyarrow.int32()),
        ("network_evaluations", pyarrow.int64()),
    ]
)

MADE = pyarrow.schema(
    [
        SCHEMAS["counterfactuals"].field(name).with_nullable(True)
        for name in ("image", "content", "logits", "network_evaluations")
    ]
)
NAMES = ("method", "generator", "guide", "cone", "immutable")
"""Options of a method that makes counterfactuals which are no keywords of its function, as they stand."""


def deciding_maps(method: Mapping[str, Any], network: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """All that decides a map besides the image: options, network, the code of the method and of its in-filler."""
    modules = [SALIENCY[method["method"]].split(":")[0]]
    if method.get("infill"):
        modules.append(INFILLS[method["infill"]].split(":")[0])
    libraries = ("torch", "captum")
    return {
        "method": dict(method),
        "network": dict(network),
        "code": [fingerprint(module, deciding=True) for module in modules],
        "seed": seed,
        "libraries": {name: release(name) for name in libraries},
    }


def parts_of(method: Mapping[str, Any]) -> dict[str, str]:
    """The networks and generators of the study that a method uses beside the classifier, by what they are to it."""
    named = {**{role: method.get(role) for role in ("generator", "guide")}, **(method.get("cone") or {})}
    return {role: named[role] for role in ("generator", "guide", "helper") if named.get(role)}


def deciding_counterfactuals(
    method: Mapping[str, Any], network: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], seed: int
) -> dict[str, Any]:
    """All that decides a counterfactual besides image, target and sample: options, networks, the code of the method.

    network: the identity of the classifier; parts: those of what `parts_of` names.
    """
    roles = parts_of(method)
    options = {key: value for key, value in method.items() if key not in roles}
    if method.get("cone"):
        options["cone"] = {key: value for key, value in method["cone"].items() if key != "helper"}
    modules = [COUNTERFACTUALS[method["method"]].split(":")[0], "pipeline.datasets.transform"]
    return {
        "method": options,
        "network": dict(network),
        "parts": {role: dict(identity) for role, identity in parts.items()},
        "code": [fingerprint(module, deciding=True) for module in modules],
        "seed": seed,
        "libraries": {"torch": release("torch")},
    }
