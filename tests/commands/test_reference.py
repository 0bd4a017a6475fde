"""The reference of the study file is complete, up to date, and right about what a study may say."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator
from pydantic import Field

from pipeline.commands.reference import (
    METRICS_PAGE,
    STEPS_PAGE,
    anchor,
    metrics_page,
    own_keys,
    parents,
    reference,
    schema_text,
    steps_page,
)
from pipeline.metrics.names import METRICS, over_rows
from pipeline.section import Section
from pipeline.study import Study
from pipeline.study.chapters import CHAPTERS, Chapter
from pipeline.study.schema import study_schema

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = [ROOT / "config.yaml", *sorted((ROOT / "studies").glob("*.yaml"))]
COMPLETE = {"study": "mine", "dataset": {"world": "portraits"}, "classifiers": {"mine": {"timm": "resnet18"}}}


@pytest.fixture(scope="module")
def schema():
    return Draft202012Validator(study_schema(Study))


@pytest.mark.parametrize(("file", "text"), [("reference.md", reference), ("study.schema.json", schema_text)])
def test_the_file_in_docs_is_what_make_reference_writes(file, text):
    assert (ROOT / "docs" / file).read_text(encoding="utf-8") == text(), "run `make reference`"


def test_the_tables_of_metrics_are_what_make_reference_writes_and_hold_them_all():
    page = METRICS_PAGE.read_text(encoding="utf-8")
    assert page == metrics_page(page), "run `make reference`"
    assert [metric for metric in METRICS if f"| `{over_rows(metric)}`" not in page] == []


def test_the_table_of_the_steps_is_what_make_reference_writes():
    page = (ROOT / STEPS_PAGE).read_text(encoding="utf-8")
    assert page == steps_page(page) and "| `predict` |" in page, "run `make reference`"


def test_a_table_of_metrics_is_told_from_their_entries_and_replaces_what_stood_there():
    page = metrics_page("Above.\n<!-- metrics: counterfactuals, cost -->\nold\n<!-- end -->\nBelow.\n")
    assert page.startswith("Above.") and page.endswith("Below.\n") and "old" not in page
    assert "\n| `network_evaluations` | 0 up | lower | mean | **network evaluations**: passes through" in page
    with pytest.raises(LookupError, match="no metric of saliency answers the question cost"):
        metrics_page("<!-- metrics: saliency, cost -->\n<!-- end -->")


def test_the_schema_is_a_valid_schema(schema):
    Draft202012Validator.check_schema(schema.schema)
    assert json.loads(schema_text())["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_study_that_ships_fits_the_schema(path, schema):
    schema.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.heading)
def test_every_example_is_a_valid_study(chapter, schema):
    example = {**COMPLETE, **yaml.safe_load(chapter.example)}
    schema.validate(example)
    Study.model_validate(example)


WRONG = [
    "classfiers: {}",
    "seed: soon",
    "seed: -1",
    "dataset: {world: portraits, sise: 64}",
    "dataset: {world: portraits, folder: photos}",
    "dataset: {size: 64}",
    "dataset: {world: portrait}",
    "dataset: {folder: photos, splits: {tset: test}}",
    "classifiers: {}",
    "classifiers: {mine: {timm: a, onnx: b}}",
    "classifiers: {mine: {task: smile}}",
    "classifiers: {mine: {torch_export: a.pt2}}",
    "networks: {mine: {torchscript: a.pt, trusted: false}}\noracles: [mine]",
    "classifiers: {'my own': {timm: a}}",
    "classifiers: {mine: {timm: a, output: {softmax: 1}}}",
    "training: {net: {dataset: {world: shapes, rows: 3}, tasks: [a], architecture: b}}",
    "extends: suite",
]


@pytest.mark.parametrize("text", WRONG)
def test_schema_and_study_refuse_the_same_mistakes(text, schema):
    wrong = {**COMPLETE, **yaml.safe_load(text)}
    assert not schema.is_valid(wrong)
    with pytest.raises(ValueError):
        Study.model_validate(wrong)


def test_the_schema_wants_a_whole_study_or_one_that_extends_default(schema):
    assert schema.is_valid(COMPLETE)
    assert not schema.is_valid({"study": "mine", "seed": 1})
    assert schema.is_valid({"study": "mine", "seed": 1, "extends": "default"})


def test_every_key_is_documented_in_one_place():
    documented = [(chapter.model, key) for chapter in CHAPTERS for key in own_keys(chapter.model)]
    defined = {name: set(section["properties"]) for name, section in study_schema(Study)["$defs"].items()}
    by_name = {chapter.model.__name__: chapter.model for chapter in CHAPTERS}
    assert len(documented) == len(set(documented))
    for name, keys in defined.items():
        if name in by_name:
            lineage = [by_name[name], *ancestors(by_name[name])]
            assert keys == {key for model in lineage for key in own_keys(model) if (model, key) in documented}, name


def ancestors(model):
    return [each for parent in parents(model) for each in (parent, *ancestors(parent))]


def test_every_link_on_the_page_leads_to_a_chapter():
    page = reference()
    anchors = {anchor(line.removeprefix("## ")) for line in page.splitlines() if line.startswith("## ")}
    assert {piece.split(")")[0] for piece in page.split("](#")[1:]} <= anchors


def test_a_key_without_a_description_is_an_error():
    class Undescribed(Section):
        depth: int = 3

    with pytest.raises(LookupError, match=r"Undescribed\.depth has no description"):
        reference((Chapter("undescribed", Undescribed),))


def test_a_section_without_a_chapter_is_an_error():
    class Hidden(Section):
        depth: int = Field(3, description="Depth.")

    class Shown(Section):
        hidden: Hidden = Field(Hidden(), description="Never written about.")

    with pytest.raises(LookupError, match="Hidden has no chapter"):
        reference((Chapter("shown", Shown),))


def test_a_key_is_told_with_its_type_default_range_and_meaning():
    class Depth(Section):
        depth: int | None = Field(3, ge=1, le=9, description="How deep; <null> | none for all.")
        kind: str = Field(description="Of `<what>`.")

    page = reference((Chapter("depth", Depth, "A note.", "depth: 2\n"),))
    assert "| `depth` | whole number from 1 to 9 or `null` | `3` | How deep; &lt;null> \\| none for all. |" in page
    assert "| `kind` | text | **required** | Of `<what>`. |" in page
    assert page.endswith("```yaml\ndepth: 2\n```\n") and "\n\nA note.\n\n" in page
