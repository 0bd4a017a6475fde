"""What a diffusion model is beside its weights: of the published ones by name, of ours in the file. Needs no torch."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.diffusion.autoencoder_shape import AutoencoderShape
from pipeline.errors import UserError, listed, nearest
from pipeline.unet_shape import GeneratorShape, Shape

KEY = "diffusion"
FIELDS = ("kind", "shape", "schedule", "predicts", "classes", "metadata")
KINDS = {"unet": Shape, "noisy-classifier": Shape, "autoencoder": AutoencoderShape}
"""What decides the parameters of each kind of network."""


@dataclass(frozen=True)
class Description:
    """What a file of weights is; the fields are those of its header.

    kind: "unet" for a diffusion model, "noisy-classifier" or "autoencoder". schedule: {"name": ..., "steps": ...} of
    its training. predicts: see Denoiser. classes: names of the classes of a noisy classifier, where they are known.
    variance: see Denoiser; not in the header, files of ours have it small.
    """

    kind: str
    shape: Shape | AutoencoderShape
    schedule: Mapping[str, Any]
    predicts: str = "noise"
    classes: Sequence[str] | None = None
    variance: str = "small"

    def __post_init__(self) -> None:
        shape_of(self.kind)


def shape_of(kind: str) -> type[Shape] | type[AutoencoderShape]:
    """The class of the shapes of a kind. Raises UserError for a kind that there is not."""
    if kind not in KINDS:
        close = nearest(str(kind), KINDS) or "unet"
        raise UserError(f"there is no kind of diffusion model {kind!r}; use {close} ({', '.join(KINDS)})")
    return KINDS[kind]


REQUIRED = {"size", "channels", "multipliers"}
LINEAR, COSINE = {"name": "linear", "steps": 1000}, {"name": "cosine", "steps": 1000}
SCHEDULES = {
    "imagenet-64-conditional": COSINE,
    "imagenet-64-classifier": COSINE,
    "celeba-128": {"name": "linear", "steps": 500},
}
"""Of the published networks that were not trained on 1,000 linear steps."""


def published(preset: str | None, shape: GeneratorShape | None) -> Description:
    """What the published network of that name is, with some fields of its shape changed; or a shape without a name.

    A variance that was not learned is large, as guided diffusion has it where nothing else is said.

    Raises UserError for a name that there is not, and for a shape that is incomplete or cannot be.
    """
    changed = shape.model_dump(exclude_none=True) if shape else {}
    if preset is None and not changed.keys() >= REQUIRED:
        raise UserError(
            "weights alone do not say what they are of; add `preset: imagenet-256` or the name of another published"
            " network, or its `shape` with size, channels and multipliers"
        )
    options = {**({} if preset is None else {"preset": preset}), **changed}
    kind = "noisy-classifier" if preset is not None and preset.endswith("-classifier") else "unet"
    return Description(kind, Shape.from_options(options), SCHEDULES.get(preset, LINEAR), variance="large")


def read_description(path: Path, owner: str) -> Description:
    """What one of our files says that it is, without its weights. Raises UserError if it is not one of ours."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise UserError(f"{owner}: {path} does not exist; correct the path, or train the network first.")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise UserError(
            f"{owner}: {path} is not a safetensors file, or is incomplete ({error}); get it again."
        ) from error
    if text is None:
        raise UserError(
            f"{owner}: {path} has weights but no description of a diffusion model; for an official checkpoint give"
            f" `checkpoint: {path}` with a preset such as imagenet-256 instead of `file`."
        )
    header = json.loads(text)
    if missing := [field for field in FIELDS if field not in header]:
        raise UserError(f"{owner}: the description in {path} lacks {listed(missing)}; train it again.")
    shape = shape_of(header["kind"]).from_options(header["shape"])
    return Description(header["kind"], shape, header["schedule"], header["predicts"], header["classes"])
