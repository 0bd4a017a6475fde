"""The JSON schema of a study file, which editors use and from which messages and the reference take their words."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from pipeline.classifiers.entry import PROGRAMS, Network
from pipeline.diffusion.entry import Generator
from pipeline.infill.entry import Filler
from pipeline.section import Section

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SECTIONS_OF_DEFAULT = ("dataset", "classifiers")  # required, but `extends: default` gives them


class SectionSchema(GenerateJsonSchema):
    """As pydantic writes it, without titles, and with the rule for the names of entries as a rule for all keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def dict_schema(self, schema: Any) -> JsonSchemaValue:
        mapping = super().dict_schema(schema)
        if "patternProperties" in mapping:
            ((_, value),) = mapping.pop("patternProperties").items()
            mapping["additionalProperties"] = value
            mapping["propertyNames"] = self.generate_inner(schema["keys_schema"])
        return mapping


@cache
def study_schema(study: type[Section]) -> dict[str, Any]:
    """The schema of a study file, with what the sections check among their keys."""
    schema = study.model_json_schema(schema_generator=SectionSchema)
    for section in [schema, *schema["$defs"].values()]:
        section.pop("title", None)
    for entry in (Network, Generator, Filler):
        one = [{"required": [source], "properties": {source: {"type": "string"}}} for source in entry.sources()]
        schema["$defs"][entry.__name__]["allOf"] = [{"oneOf": one}]
    trusted = {"required": ["trusted"], "properties": {"trusted": {"const": True}}}
    for program in PROGRAMS:
        given = {"required": [program], "properties": {program: {"type": "string"}}}
        schema["$defs"]["Network"]["allOf"].append({"if": given, "then": trusted})
    required = [key for key in schema["required"] if key not in SECTIONS_OF_DEFAULT]
    return {
        "$schema": DRAFT,
        "title": "A study of Counterfactory",
        **schema,
        "required": required,
        "if": {"not": {"required": ["extends"]}},
        "then": {"required": list(SECTIONS_OF_DEFAULT)},
    }
