"""What a JSON schema allows, in plain words: for messages about a study and for its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.errors import alternatives

Node = dict[str, Any]

NULL = {"type": "null"}
PATTERNS = {
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$": ("name of letters, digits, '.', '_' and '-'", "names"),
    "^[0-9a-f]{64}$": ("digest of 64 hexadecimal digits", "digests"),
}
NOUNS = {"integer": ("whole number", "whole numbers"), "number": ("number", "numbers")}


@dataclass(frozen=True)
class Voice:
    """How a text speaks of what words alone cannot say: a section, by its name, and a fixed value."""

    section: Callable[[str], str]
    value: Callable[[Any], str]


def words(node: Node, voice: Voice, many: bool = False) -> str:
    """What a value may be, as a noun: "whole number from 32 to 256", "list of texts". many: in the plural."""
    if "$ref" in node:
        return voice.section(section_name(node))
    if "const" in node or "enum" in node:
        return alternatives(voice.value(value) for value in choices(node))
    if "anyOf" in node or "oneOf" in node:
        kinds = list(dict.fromkeys(words(kind, voice, many) for kind in branches(node)))
        # What a key is when it is not given needs no words where that is how it starts.
        can_be_unset = NULL in node.get("anyOf", []) and node.get("default", NULL) is not None
        return alternatives([*kinds, voice.value(None)] if can_be_unset else kinds)
    kind = node.get("type")
    if kind == "array":
        return ("lists of " if many else "list of ") + words(node["items"], voice, True) + at_least(node, "minItems")
    if kind == "object":
        return mapping(node, voice, many) + at_least(node, "minProperties")
    if kind == "boolean":
        return "true or false"
    if kind == "string":
        return text(node, many)
    return NOUNS[kind][many] + bounds(node) if kind in NOUNS else "anything"


def text(node: Node, many: bool) -> str:
    if "pattern" not in node:
        return "texts" if many else "text"
    noun = PATTERNS[node["pattern"]][many]
    return f"{noun} (at most {node['maxLength']} characters)" if "maxLength" in node and not many else noun


def mapping(node: Node, voice: Voice, many: bool) -> str:
    """Words for keys that the person chooses; the keys of a section are its own."""
    keys = node.get("propertyNames", {"type": "string"})
    key = "name" if "pattern" in keys else words(keys, voice)
    values = node.get("additionalProperties")
    value = words(values if isinstance(values, dict) else {}, voice)
    return f"{'mappings' if many else 'mapping'} from {key} to {value}"


def bounds(node: Node) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    above, below = node.get("exclusiveMinimum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:g} to {high:g}"
    said = [(low, "of at least"), (high, "of at most"), (above, "above"), (below, "below")]
    return " and".join(f" {word} {bound:g}" for bound, word in said if bound is not None)


def at_least(node: Node, key: str) -> str:
    return f" (at least {node[key]})" if key in node else ""


def branches(node: Node) -> list[Node]:
    """The kinds of values that a schema chooses among, but for null; none where it does not choose."""
    return [kind for kind in node.get("oneOf") or node.get("anyOf") or [] if kind != NULL]


def choices(node: Node) -> list[Any]:
    """The fixed values that a schema allows; none where it allows others."""
    return [node["const"]] if "const" in node else node.get("enum", [])


def section_name(node: Node) -> str:
    """Name of the section that a schema refers to."""
    return node["$ref"].rpartition("/")[2]


def plain(value: Any) -> str:
    """A single value as it stands in a study file, without quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
