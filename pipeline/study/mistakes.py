"""The mistakes in a study file, each as one line for the person who wrote it: where, what is allowed, what is there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from pipeline.errors import alternatives, nearest
from pipeline.study.words import Node, Voice, branches, choices, plain, section_name, words

# Mistakes that are told by saying what is allowed; others keep the text of who found them.
TOLD_BY_WHAT_IS_ALLOWED = re.compile(
    r"(bool|dict|float|int|list|model|string)_(type|parsing|parsing_size)|(greater|less)_than(_equal)?|literal_error"
    r"|model_attributes_type|finite_number|int_from_float|string_pattern_mismatch|(string_)?too_(short|long)"
)
EXAMPLES = {
    "study": "mine",
    "dataset": "{world: portraits, size: 64}",
    "classifiers": "{mine: {timm: resnet18.a1_in1k}}",
    "tasks": "[smile]",
    "architecture": "resnet18",
    "weight": "0.5",
    "set": "{smile: present}",
    "concept": "smile",
    "by": "glasses",
    "nuisance": "tilt",
    "below": "0",
    "world": "portraits",
    "unet": "{channels: 32, multipliers: [1, 2, 4]}",
    "noisy_classifier": "{channels: 32, multipliers: [1, 2, 4]}",
    "autoencoder": "{channels: 32, multipliers: [1, 2, 4], encoder_multipliers: [1, 2, 4, 4]}",
    "channels": "32",
    "multipliers": "[1, 2, 4]",
    "encoder_multipliers": "[1, 2, 4, 4]",
    "task": "smile",
    "generator": "portraits-adm",
    "guide": "portraits-guide",
    "direction": "gcd-g",
}
LABELS = {"list": "array", "dict": "object", "str": "string", "int": "integer", "float": "number"}


@dataclass(frozen=True)
class Place:
    """Where a mistake is.

    path: keys from the top of the file. node: schema of what may stand there. is_key: the last key itself is wrong.
    union: path of the innermost value that may be of several types, if there is one; inside: the mistake is within it.
    """

    path: tuple[str, ...]
    node: Node
    is_key: bool
    union: tuple[str, ...] | None
    inside: bool


def describe(error: ValidationError, schema: Node) -> list[str]:
    """One line for each mistake that was found in a study.

    A value that may be of several types is told once: by what is wrong inside it where its type is one of them.
    """
    found = [(mistake, find(mistake["loc"], schema)) for mistake in error.errors()]
    entered = {place.path[:depth] for _, place in found for depth in range(len(place.path))}
    told = [sentence(mistake, place, schema) for mistake, place in found if place.inside or place.union not in entered]
    return list(dict.fromkeys(told))


def find(location: tuple[str | int, ...], schema: Node) -> Place:
    """Follow a location through the schema; the types and kinds that pydantic puts into it are no keys of the file."""
    is_key = location[-1:] == ("[key]",)
    path: tuple[str, ...] = ()
    union, inside, node, parent = None, False, schema, schema
    for part in location[:-1] if is_key else location:
        kinds = branches(node)
        if len(kinds) == 1 and "oneOf" in kinds[0]:
            node, kinds = kinds[0], branches(kinds[0])
        if "oneOf" in node:
            sections = [resolve(kind, schema) for kind in kinds]
            node = next((section for section in sections if part in tags(section)), {})
        elif len(kinds) > 1:
            union, inside, parent = path, False, node
            node = next((kind for kind in kinds if kind.get("type") == LABELS.get(str(part).split("[")[0])), {})
        else:
            inside = union is not None
            parent = resolve(kinds[0] if kinds else node, schema)
            path, node = (*path, str(part)), below(parent, part)
        node = resolve(node, schema)
    if union is not None and not inside:
        node = parent
    elif len(branches(node)) == 1:
        node = resolve(branches(node)[0], schema)
    return Place(path, parent.get("propertyNames", {"type": "string"}) if is_key else node, is_key, union, inside)


def tags(section: Node) -> list[str]:
    """What pydantic calls a section among several: the key, or the fixed value of the key, that it is chosen by."""
    if section.get("type") == "string":
        return ["name"]
    required = section.get("required", [])
    return [*required, *(section["properties"][key].get("const") for key in required)]


def resolve(node: Node, schema: Node) -> Node:
    return {**schema["$defs"][section_name(node)], **node} if "$ref" in node else node


def below(node: Node, part: str | int) -> Node:
    """Schema of one entry of a section, mapping or list."""
    if isinstance(part, int) and "items" in node:
        return node["items"]
    entry = node.get("properties", {}).get(part, node.get("additionalProperties"))
    return entry if isinstance(entry, dict) else {}


def sentence(mistake: dict[str, Any], place: Place, schema: Node) -> str:
    given = mistake["input"]
    if mistake["type"] == "missing":
        *above, key = place.path
        return line(above, f"the key '{key}' is missing; write for example {key}: {EXAMPLES.get(key, '...')}")
    if mistake["type"] == "no_kind":
        return line(place.path, f"{mistake['msg']}; {hint_at_kind(given, mistake['ctx']['keys'])}")
    if mistake["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return line(place.path, hint_at_method(given, place.node, schema))
    if not TOLD_BY_WHAT_IS_ALLOWED.fullmatch(mistake["type"]) or not place.node:
        said = mistake["msg"][0].lower() + mistake["msg"][1:]
        said = said if isinstance(given, dict) else f"{said}{but(given)}"
        return line(place.path, said if said.endswith((".", "?")) else f"{said}.")
    allowed = with_article(words(place.node, Voice(lambda name: keys_of(schema["$defs"][name]), plain)))
    if place.is_key:
        *above, _ = place.path
        return line(above, f"the key {shown(given)} must be {allowed}{hint_at_value(given, place.node)}")
    return line(place.path, f"must be {allowed}{but(given)}{hint_at_value(given, place.node)}")


def line(path: Any, text: str) -> str:
    return f"{'.'.join(path)}: {text}" if path else text


def hint_at_kind(given: Any, kinds: list[str]) -> str:
    """What to write where a section has none or several of the keys of which it must have one."""
    keys = [str(key) for key in given] if isinstance(given, dict) else []
    present = [key for key in keys if key in kinds]
    if present:
        return f"here there are {' and '.join(present)}."
    for key in keys:
        close = nearest(key, kinds)
        if close:
            return f"did you mean '{close}' for '{key}'?"
    usual = next(kind for kind in kinds if kind in EXAMPLES)
    return f"write for example {usual}: {EXAMPLES[usual]}."


def hint_at_method(given: Any, node: Node, schema: Node) -> str:
    """What to write where a section names no method or in-filler, or one that there is not."""
    node = node if "oneOf" in node else branches(node)[0]
    keys = [resolve(kind, schema).get("properties", {}) for kind in branches(node)]
    key = "method" if "method" in keys[0] else "infill"
    known = [of_kind[key]["const"] for of_kind in keys if of_kind]
    word = given.get(key) if isinstance(given, dict) else None
    if word is None:
        return f"the key '{key}' is missing; write for example {key}: {known[0]}"
    close = nearest(str(word), known)
    hint = f"did you mean '{close}'?" if close else f"there are {', '.join(known)}."
    return f"there is no {'method' if key == 'method' else 'in-filler'} {shown(word)}; {hint}"


def hint_at_value(given: Any, node: Node) -> str:
    """The nearest of the allowed values, or how to write a text that YAML takes for something else."""
    close = nearest(given, [plain(choice) for choice in choices(node)]) if isinstance(given, str) else None
    if close:
        return f"; did you mean '{close}'?"
    if node.get("type") == "string" and isinstance(given, bool | int | float):
        return "; put it in quotes."
    return "."


def keys_of(section: Node) -> str:
    """Words for a section, by the keys it must have or else may have."""
    keys = section.get("required") or list(section["properties"])
    return f"section with keys such as {alternatives(keys[:3])}"


def with_article(noun: str) -> str:
    return re.sub(r"(^| or )(?=whole|number|list|mapping|section|name|digest)", r"\1a ", noun)


def but(given: Any) -> str:
    return ", but nothing is given" if given is None else f", not {shown(given)}"


def shown(value: Any) -> str:
    """The value that was given, as it stands in the file; of a section or list only that it is one."""
    if isinstance(value, dict | list):
        kind = "list" if isinstance(value, list) else "mapping"
        return f"a {kind}" if value else f"an empty {kind}"
    return f"'{value}'" if isinstance(value, str) else plain(value)
