"""The entry of one network in a study: where it comes from and what its training assumed. Needs no torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from pipeline.errors import UserError, alternatives, nearest

LOADERS = {
    "file": "pipeline.classifiers.file:load",
    "timm": "pipeline.classifiers.formats.timm:load",
    "torchvision": "pipeline.classifiers.formats.torchvision:load",
    "noisy_classifier": "pipeline.diffusion.as_classifier:load",
    "torch_export": "pipeline.classifiers.formats.torch_export:load",
    "torchscript": "pipeline.classifiers.formats.torchscript:load",
    "onnx": "pipeline.classifiers.formats.onnx:load",
    "entry_point": "pipeline.classifiers.formats.entry_point:load",
}
"""Each takes an Entry and returns a Classifier on the CPU."""
FORMATS = tuple(LOADERS)
PROGRAMS = ("torch_export", "torchscript")
"""Formats that are code: loading such a file evaluates and runs what it holds."""
UNTRUSTED = (
    "{format} is a program, and loading it runs what the file holds; if you made the file or trust who did, add"
    " `trusted: true`, else get the network as safetensors or ONNX"
)


@dataclass(frozen=True)
class Entry:
    """One network. `format` and `source` are the key and value that say where it comes from; the rest are options."""

    name: str
    format: str
    source: str
    checkpoint: str | None = None
    """timm, torchvision: a local .safetensors, .pth or .bin; timm without it: the pretrained weights of the hub."""
    random_weights: int | None = None
    """timm, torchvision: the seed of fresh weights, which the network has in place of trained ones."""
    options: dict[str, Any] = field(default_factory=dict)
    """timm, torchvision: keyword arguments of the architecture, such as img_size."""
    preset: str | None = None
    """noisy_classifier: name of the published network that an official file holds."""
    shape: dict[str, Any] = field(default_factory=dict)
    """noisy_classifier: fields of its Shape that differ from the preset."""
    watch: tuple[str, ...] = ()
    """entry_point: files whose content it depends on, beside those that it imports or names in quotes."""
    task: str | None = None
    """What is judged; "label" if None. For several heads: keep only this one."""
    classes: tuple[str, ...] | dict[str, tuple[str, ...]] | None = None
    """Class names in the order of the outputs; {task: class names} for a reader with several heads."""
    size: int | None = None
    """Side in pixels; None: the format's own (timm's pretrained size, an exported fixed size), else any."""
    channels: int | None = None
    """1 or 3; None: the format's own, else 3."""
    mean: float | tuple[float, ...] | None = None
    """One number or one for each channel; None: the format's own, else 0."""
    std: float | tuple[float, ...] | None = None
    """One number or one for each channel, above 0; None: the format's own, else 1."""
    temperature: float | None = None
    """Divides the logits, above 0; None: the format's own, else 1."""
    output: str | dict[str, Any] | None = None
    """None: the outputs are the logits; "probabilities": their logarithms are; {sigmoid: column}, or a list of columns,
    one for each task."""
    differentiable: bool = True
    """False: a black box that only answers with logits (always so for onnx)."""
    classifier_perturbation: float = 0.0
    """Share r in [0, 1] of Vaeth et al. 2023: noise of r times the standard deviation of all weights."""
    trusted: bool = False
    """torch_export, torchscript: the file may run code; an entry point is code that the entry names anyway."""
    sha256: str | None = None
    """Expected digest of the file (or of the entry point's source, or of the hub's weights)."""

    @property
    def sigmoid(self) -> int | list[int] | None:
        """The column or columns of `output: {sigmoid: ...}`."""
        return self.output["sigmoid"] if isinstance(self.output, Mapping) else None


OPTIONS = tuple(option.name for option in fields(Entry) if option.name not in ("name", "format", "source"))
FORMATS_WITH = {
    "checkpoint": ("timm", "torchvision"),
    "random_weights": ("timm", "torchvision"),
    "options": ("timm", "torchvision"),
    "preset": ("noisy_classifier",),
    "shape": ("noisy_classifier",),
    "trusted": (*PROGRAMS, "entry_point"),
    "watch": ("entry_point",),
}
"""The formats that alone have an option."""
IN_OUR_FILE = ("classes", "size", "channels", "mean", "std", "output")
"""What a `file` says itself, so that an entry must not say it again."""


def parse_entry(name: str, entry: Mapping[str, Any]) -> Entry:
    """Check an entry as a person writes it and name its parts; options that are None count as not given.

    Raises UserError for an unknown option, a value out of range, none or several formats, a program without trust.
    """
    given = {option: value for option, value in entry.items() if value is not None}
    for option in given:
        if option not in FORMATS + OPTIONS:
            guess = nearest(option, FORMATS + OPTIONS)
            hint = f"did you mean '{guess}'?" if guess else f"valid ones are {', '.join(FORMATS + OPTIONS)}."
            raise UserError(f"classifier '{name}' has no option '{option}'; {hint}")
    chosen = [each for each in FORMATS if each in given]
    if len(chosen) != 1:
        raise UserError(
            f"classifier '{name}' names {' and '.join(chosen) or 'no format'}; give exactly one of"
            f" {', '.join(FORMATS)}, such as `file: data/classifiers/smile-cnn.safetensors`."
        )
    (format,) = chosen
    source = given.pop(format)
    if not isinstance(source, str) or not source:
        raise UserError(f"classifier '{name}': {format} is {source!r}, expected a path or name in quotes.")
    for option in given:
        refuse_misplaced(name, format, option)
        check, expected = CHECKS[option]
        if not check(given[option]):
            raise UserError(f"classifier '{name}': {option} is {given[option]!r}, expected {expected}.")
    if "random_weights" in given and "checkpoint" in given:
        raise UserError(f"classifier '{name}' has both checkpoint and random_weights; leave one out.")
    if format in PROGRAMS and not given.get("trusted"):
        raise UserError(f"classifier '{name}': {UNTRUSTED.format(format=format)}.")
    return Entry(name, format, source, **{option: frozen(value) for option, value in given.items()})


def refuse_misplaced(name: str, format: str, option: str) -> None:
    """Raise UserError for an option that this format does not have."""
    if format not in FORMATS_WITH.get(option, FORMATS):
        owners = alternatives(FORMATS_WITH[option])
        raise UserError(f"classifier '{name}': {option} belongs to a {owners} entry, not to {format}; leave it out.")
    if option in IN_OUR_FILE and format == "file":
        raise UserError(f"classifier '{name}': its file says {option} itself; leave {option} out of the entry.")


def require_classes(entry: Entry) -> dict[str, tuple[str, ...]]:
    """The heads {task: class names} that the entry gives; UserError if it gives none."""
    if entry.classes is None:
        raise UserError(
            f"classifier '{entry.name}' needs the names of its classes, since {entry.format} does not tell them; add"
            " them in the order of its outputs, such as `classes: [serious, smiling]`."
        )
    return entry.classes if isinstance(entry.classes, dict) else {entry.task or "label": entry.classes}


def frozen(value: Any) -> Any:
    """Lists as tuples, so that equal entries are equal however they were written."""
    if isinstance(value, list | tuple):
        return tuple(frozen(each) for each in value)
    if isinstance(value, Mapping):
        return {key: frozen(each) for key, each in value.items()}
    return value


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_list_of(holds: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(holds(each) for each in value)


def are_class_names(value: Any) -> bool:
    return is_list_of(lambda each: isinstance(each, str) and bool(each), value)


def are_channel_values(value: Any) -> bool:
    return is_number(value) or (is_list_of(is_number, value) and len(value) in (1, 3))


def is_output(value: Any) -> bool:
    if value == "probabilities":
        return True
    if not isinstance(value, Mapping) or set(value) != {"sigmoid"}:
        return False
    return is_index(value["sigmoid"]) or is_list_of(is_index, value["sigmoid"])


def is_digest(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "checkpoint": (lambda value: isinstance(value, str), "a path, such as resources/mine.safetensors"),
    "random_weights": (is_index, "the seed of fresh weights, such as 1"),
    "options": (lambda value: isinstance(value, Mapping), "a mapping, such as {img_size: 64}"),
    "preset": (lambda value: isinstance(value, str), "a name, such as imagenet-256-classifier"),
    "shape": (lambda value: isinstance(value, Mapping), "a mapping, such as {size: 64, channels: 32}"),
    "watch": (
        lambda value: is_list_of(lambda each: isinstance(each, str), value),
        "a list of files, such as [resources/mine.pth]",
    ),
    "task": (lambda value: isinstance(value, str) and bool(value), "a word, such as smile"),
    "classes": (
        lambda value: (
            are_class_names(value) or (isinstance(value, Mapping) and all(map(are_class_names, value.values())))
        ),
        "a list of names in quotes or words, such as [serious, smiling]",
    ),
    "size": (lambda value: is_index(value) and value > 0, "pixels, such as 64"),
    "channels": (lambda value: value in (1, 3), "1 (grey) or 3 (RGB)"),
    "mean": (are_channel_values, "a number or one for each channel, such as [0.485, 0.456, 0.406]"),
    "std": (are_channel_values, "a number or one for each channel, such as [0.229, 0.224, 0.225]"),
    "temperature": (lambda value: is_number(value) and value > 0, "a number above 0, such as 1.5"),
    "output": (is_output, "probabilities or {sigmoid: <column>}, such as {sigmoid: 31}"),
    "differentiable": (lambda value: isinstance(value, bool), "true or false"),
    "classifier_perturbation": (
        lambda value: is_number(value) and 0 <= value <= 1,
        "a number in [0, 1], such as 0.2",
    ),
    "trusted": (lambda value: isinstance(value, bool), "true or false"),
    "sha256": (is_digest, "64 hexadecimal digits in lower case, as sha256sum prints them"),
}
