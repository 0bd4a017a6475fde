"""What a network in our own format says of itself, read without its weights. Needs no torch.

The header's metadata holds one key, "classifier", with canonical JSON:
    architecture   name of a timm model
    options        its keyword arguments (in_chans, img_size, ...)
    heads          {task: [class names]}, in the order of the outputs
    size           side in pixels, or null for any
    mean, std      a number, or one for each channel
    temperature    a number, or {task: number}
    metadata       anything else worth telling (how it was trained, its accuracy); decides nothing
One key only, because safetensors writes several in random order: equal networks give equal bytes.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.classifiers.sources import existing_file
from pipeline.errors import UserError, listed

KEY = "classifier"
FIELDS = ("architecture", "options", "heads", "size", "mean", "std", "temperature", "metadata")


def read_description(path: str | Path, name: str = "network") -> dict[str, Any]:
    """The JSON of a file's header, without reading the weights. Raises UserError if it is not one of ours."""
    from safetensors import SafetensorError, safe_open

    path = existing_file(name, path)
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise UserError(
            f"classifier '{name}': {path} is not a safetensors file, or is incomplete ({error}); get it again."
        ) from error
    if text is None:
        raise UserError(
            f"classifier '{name}': {path} has weights but no description; give the architecture, such as"
            f" `timm: resnet18`, with `checkpoint: {path}` instead of `file: {path}`."
        )
    description = json.loads(text)
    missing = [field for field in FIELDS if field not in description]
    if missing:
        raise UserError(f"classifier '{name}': the description in {path} lacks {listed(missing)}; train it again.")
    return description
