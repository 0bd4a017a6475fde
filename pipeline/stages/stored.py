"""What the row store keeps: the columns of its rows, and all that decides a map. Known without torch.

The stages that compute rows use these, and so do the commands that tell which rows a study needs.
"""

from collections.abc import Mapping
from typing import Any

import pyarrow

from pipeline.explain import SALIENCY
from pipeline.fingerprint import fingerprint
from pipeline.infill import INFILLS
from pipeline.stages.networks import release

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
