"""What a file of weights says that it is. Needs no torch."""

import json
from pathlib import Path

from pydantic import ValidationError

from pipeline.errors import UserError, nearest
from pipeline.infill.declared import Architecture, architectures

KEY = "infill"


def read_shape(path: Path, owner: str) -> Architecture:
    """What a file says that it is, without its weights. Raises UserError if it is none of ours."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise UserError(
            f"{owner}: {path} is not a safetensors file, or is incomplete ({error}); get it again."
        ) from error
    if text is None:
        raise UserError(f"{owner}: {path} has weights but no description of an in-filler; name a file that has one.")
    header, known = json.loads(text), architectures()
    if header.get("kind") not in known:
        close = nearest(str(header.get("kind")), known) or next(iter(known))
        raise UserError(f"{owner}: {path} holds a {header.get('kind')}, which is no in-filler; use a {close}.")
    try:
        return known[header["kind"]].model_validate(header["shape"])
    except (ValidationError, KeyError) as error:
        raise UserError(f"{owner}: the description in {path} is not complete ({error}); train it again.") from error
