"""The entry of one generator in a study: where it comes from, and what its file does not say. Needs no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.diffusion.description import Description, published
from pipeline.errors import UserError, nearest

LOADERS = {
    "file": "pipeline.diffusion.file:load",
    "checkpoint": "pipeline.diffusion.file:load",
    "diffusers": "pipeline.diffusion.diffusers_folder:load",
}
"""Each takes an Entry and returns a frozen network and its Description."""
FORMATS = tuple(LOADERS)


@dataclass(frozen=True)
class Entry:
    """One generator. `format` and `source` are the key and value that say where it comes from; the rest are options.

    All but sha256 belong to a checkpoint, a file that says nothing of itself; schedule, predicts and variance also to a
    folder of diffusers without a scheduler beside it.
    """

    name: str
    format: str
    source: str
    preset: str | None = None
    """Name of the published network."""
    shape: dict[str, Any] = field(default_factory=dict)
    """Fields of Shape that differ from the preset; without a preset, size, channels and multipliers at least."""
    schedule: dict[str, Any] | None = None
    """{"name": ..., "steps": ...}; that of the preset, else 1,000 linear steps."""
    predicts: str | None = None
    """"noise", as all published ones, or "velocity"."""
    variance: str | None = None
    """Of a step, where the network did not learn it: "small" or "large", see Denoiser."""
    classes: tuple[str, ...] | None = None
    """Names of the classes of a noisy classifier, in the order of its outputs."""
    sha256: str | None = None
    """Expected digest of the file."""

    @property
    def owner(self) -> str:
        """Whose files they are, as messages begin."""
        return f"generator '{self.name}'"

    def described(self) -> Description:
        """What a checkpoint is. Raises UserError for a shape that cannot be."""
        try:
            known = published(self.preset, self.shape)
        except UserError as error:
            raise UserError(f"{self.owner}: {error}.") from error
        return Description(
            known.kind,
            known.shape,
            self.schedule or known.schedule,
            self.predicts or known.predicts,
            self.classes,
            self.variance or known.variance,
        )


OPTIONS = tuple(option.name for option in fields(Entry) if option.name not in ("name", "format", "source"))
OF_FORMAT = {"file": ("sha256",), "checkpoint": OPTIONS, "diffusers": ("schedule", "predicts", "variance", "sha256")}


def parse_entry(name: str, entry: Mapping[str, Any]) -> Entry:
    """Check an entry as a person writes it and name its parts; options that are None count as not given.

    Raises UserError for an unknown option, one that the format does not have, none or several formats.
    """
    given = {option: value for option, value in entry.items() if value is not None}
    for option in given:
        if option not in FORMATS + OPTIONS:
            guess = nearest(option, FORMATS + OPTIONS)
            hint = f"did you mean '{guess}'?" if guess else f"valid ones are {', '.join(FORMATS + OPTIONS)}."
            raise UserError(f"generator '{name}' has no option '{option}'; {hint}")
    chosen = [each for each in FORMATS if each in given]
    if len(chosen) != 1:
        raise UserError(
            f"generator '{name}' names {' and '.join(chosen) or 'no format'}; give exactly one of"
            f" {', '.join(FORMATS)}, such as `file: data/generators/portraits-adm.safetensors`."
        )
    (format,) = chosen
    source = given.pop(format)
    for option in given:
        if option not in OF_FORMAT[format]:
            raise UserError(f"generator '{name}': its {format} says {option} itself; leave {option} out of the entry.")
    if "classes" in given:
        given["classes"] = tuple(given["classes"])
    return Entry(name, format, str(source), **given)


def source_files(entry: Entry) -> list[Path]:
    """The files that decide what the generator is, whether they are there or not; the weights come first.

    A folder of diffusers is that of a model, or that of a whole pipeline with the folders `unet` and `scheduler`.
    """
    source = Path(entry.source).expanduser()
    if entry.format != "diffusers":
        return [source]
    model = source / "unet" if (source / "unet").is_dir() else source
    scheduler = source / "scheduler" / "scheduler_config.json"
    files = [model / "diffusion_pytorch_model.safetensors", model / "config.json"]
    return [*files, scheduler] if model != source and scheduler.is_file() else files


def existing_files(entry: Entry) -> list[Path]:
    """`source_files`, all of which must be there. Raises UserError for one that is not."""
    for path in source_files(entry):
        if not path.is_file():
            raise UserError(
                f"{entry.owner}: {path} {'is a folder, not a file' if path.is_dir() else 'does not exist'}; correct the"
                " path (relative paths count from the working directory), or download or train the generator first."
            )
    return source_files(entry)
