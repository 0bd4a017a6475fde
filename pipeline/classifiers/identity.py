"""What a classifier is, apart from where its files lie and what an entry is called. Needs no torch."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from pipeline.classifiers.entry import Entry, parse_entry
from pipeline.classifiers.sources import content_digest, source_file, split_entry_point
from pipeline.digests import check_digest


def identify(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical entry as plain JSON, with sha256 of contents in place of paths: equal if the networks are equal.

    Options at their defaults are left out; so are the name, trust, and sha256 where a file tells it. Moving or renaming
    a file changes nothing, changing its content does. An entry point is its source files, what they name, and its
    function; weights from the hub are their name (and sha256, if given). Of both only loading tells all:
    `told_by_loading`. Raises UserError for a wrong entry, a missing file or another sha256.
    """
    parsed = parse_entry(name, entry)
    identity = {
        option.name: plain(getattr(parsed, option.name))
        for option in fields(Entry)
        if option.name not in ("name", "format", "source", "trusted", "watch") and not is_default(parsed, option)
    }
    path = source_file(parsed)
    if path is None:
        return {parsed.format: parsed.source, **identity}
    check_digest(f"classifier '{name}'", path, parsed.sha256)
    identity.pop("sha256", None)
    digest = f"sha256:{content_digest(parsed, path)}"
    if "checkpoint" in identity:
        return {**identity, parsed.format: parsed.source, "checkpoint": digest}
    if parsed.format == "entry_point":
        return {**identity, "entry_point": f"{digest}:{split_entry_point(name, parsed.source)[1]}"}
    return {**identity, parsed.format: digest}


def told_by_loading(entry: Entry) -> bool:
    """Whether no file of the entry holds all weights, so that its identity also has the digest of the loaded state."""
    return entry.format == "entry_point" or (
        entry.format == "timm" and entry.checkpoint is None and entry.random_weights is None
    )


def without_state(identity: Any) -> Any:
    """An identity, however deep, as it is known before its networks are loaded."""
    if not isinstance(identity, Mapping):
        return identity
    return {key: without_state(value) for key, value in identity.items() if key != "state"}


def is_default(entry: Entry, option) -> bool:
    """Whether an option says nothing: it has its default, an empty mapping, or 1 as a temperature that is 1 anyway."""
    value = getattr(entry, option.name)
    if option.name == "temperature":
        return value is None or (value == 1 and entry.format != "file")
    return value == option.default or value == {}


def plain(value: Any) -> Any:
    """The value as JSON gives it back: tuples as lists."""
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value
