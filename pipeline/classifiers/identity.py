"""What a classifier is, apart from where its files lie and what an entry is called. Needs no torch."""

from collections.abc import Mapping
from typing import Any

from pipeline.classifiers.entry import Network
from pipeline.classifiers.sources import content_digest, source_file, split_entry_point
from pipeline.digests import check_digest
from pipeline.entry import parse_entry


def identify(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The canonical entry as plain JSON, with sha256 of contents in place of paths: equal if the networks are equal.

    Options at their defaults are left out; so are the name, trust, and sha256 where a file tells it. Moving or renaming
    a file changes nothing, changing its content does. An entry point is its source files, what they name, and its
    function; weights from the hub are their name (and sha256, if given). Of both only loading tells all:
    `told_by_loading`. Raises UserError for a wrong entry, a missing file or another sha256.
    """
    parsed = parse_entry(Network, name, entry)
    options = parsed.model_dump(mode="json", exclude_none=True, exclude={parsed.format, "trusted", "watch"})
    identity = {option: value for option, value in options.items() if not is_default(parsed, option, value)}
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


def told_by_loading(entry: Network) -> bool:
    """Whether no file of the entry holds all weights, so that its identity also has the digest of the loaded state."""
    return entry.format == "entry_point" or (
        entry.format == "timm" and entry.checkpoint is None and entry.random_weights is None
    )


def without_state(identity: Any) -> Any:
    """An identity, however deep, as it is known before its networks are loaded."""
    if not isinstance(identity, Mapping):
        return identity
    return {key: without_state(value) for key, value in identity.items() if key != "state"}


def is_default(entry: Network, option: str, value: Any) -> bool:
    """Whether an option says nothing: it has its default, an empty mapping, or 1 as a temperature that is 1 anyway."""
    if option == "temperature":
        return value == 1 and entry.format != "file"
    return value == Network.model_fields[option].default or value == {}
