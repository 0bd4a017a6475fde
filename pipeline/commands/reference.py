"""python -m pipeline.commands.reference: write what the documentation takes from the code.

docs/reference.md and docs/study.schema.json from the sections of a study, the tables of docs/metrics.md from METRICS,
the steps of docs/how-it-works.md from the declarations of the stages.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from pipeline.metrics.names import METRICS, Metric, over_rows
from pipeline.section import Section
from pipeline.study import Study
from pipeline.study.chapters import CHAPTERS, INTRODUCTION, Chapter
from pipeline.study.schema import SectionSchema, study_schema
from pipeline.study.words import Node, Voice, plain, section_name, words
from pipeline.workflow import stages

DOCS = Path("docs")
METRICS_PAGE, STEPS_PAGE = DOCS / "metrics.md", DOCS / "how-it-works.md"
MARKED = re.compile(r"(<!-- metrics: (\w+)(?:, (\w+))? -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where a table of metrics stands, by their family and question."""
STEPS = re.compile(r"(<!-- steps -->\n).*?(<!-- end -->)", re.DOTALL)
"""Where the table of the steps stands."""


def reference(chapters: tuple[Chapter, ...] = CHAPTERS) -> str:
    """The page, in Markdown. Raises LookupError for a key without a description and a section without a chapter."""
    return "\n".join([INTRODUCTION, *(written(chapter, chapters) for chapter in chapters)])


def written(chapter: Chapter, chapters: tuple[Chapter, ...]) -> str:
    """One chapter: what it is, a table of the keys, what it takes from its parents, an example."""
    model = chapter.model
    links = [link(parent.__name__, chapters) for parent in parents(model)]
    paragraphs = [
        f"## {chapter.heading}",
        " ".join((model.__doc__ or "").split()),
        chapter.note,
        table(model, chapters),
        f"It also has the keys of {' and '.join(links)}." if links else "",
        f"```yaml\n{chapter.example}```" if chapter.example else "",
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph) + "\n"


def table(model: type[Section], chapters: tuple[Chapter, ...]) -> str:
    """The keys that a model adds to those of its parents, in the order of the model."""
    schema = model.model_json_schema(schema_generator=SectionSchema)
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in own_keys(model):
        node = schema["properties"][key]
        if not node.get("description"):
            raise LookupError(f"{model.__name__}.{key} has no description; give its Field one.")
        allowed = words(node, Voice(lambda name: link(name, chapters), lambda value: f"`{plain(value)}`"))
        cells = [f"`{key}`", allowed, default(node, schema, model.model_fields[key].is_required()), node["description"]]
        rows.append("| " + " | ".join(escaped(cell) for cell in cells) + " |")
    return "\n".join(rows)


def escaped(cell: str) -> str:
    """The text so that Markdown takes no part of it for HTML or for the end of a cell."""
    pieces = cell.replace("|", "\\|").split("`")
    return "`".join(piece if index % 2 else piece.replace("<", "&lt;") for index, piece in enumerate(pieces))


def default(node: Node, schema: Node, required: bool) -> str:
    """What counts where the key is not given."""
    if required:
        return "**required**"
    value = node["default"]
    if value is None:
        return "not set"
    if isinstance(value, str | dict | list) and not value:
        return "none"
    if "$ref" in node and value == defaults(schema["$defs"][section_name(node)]):
        return "its defaults"
    return f"`{flow(value)}`"


def defaults(section: Node) -> dict[str, Any]:
    return {key: node["default"] for key, node in section["properties"].items() if "default" in node}


def flow(value: Any) -> str:
    """The value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def parents(model: type[Section], chapters: tuple[Chapter, ...] = CHAPTERS) -> list[type[Section]]:
    """The models that a model takes keys from, and that have a chapter, or stand above one without."""
    found: list[type[Section]] = []
    for base in model.__bases__:
        if issubclass(base, Section) and base.model_fields:
            told = any(chapter.model is base for chapter in chapters)
            found += [base] if told else parents(base, chapters)
    return found


def own_keys(model: type[Section], chapters: tuple[Chapter, ...] = CHAPTERS) -> list[str]:
    """The keys that a model does not take from its parents."""
    inherited = {key for parent in parents(model, chapters) for key in parent.model_fields}
    return [key for key in model.model_fields if key not in inherited]


def link(name: str, chapters: tuple[Chapter, ...]) -> str:
    """A link to the chapter of a section; a section without keys of its own is told by its first parent."""
    for chapter in chapters:
        if chapter.model.__name__ == name:
            return f"[{chapter.called or chapter.heading}](#{anchor(chapter.heading)})"
    known = {model.__name__: model for model in sections()}
    if name in known and not own_keys(known[name]):
        return link(parents(known[name])[0].__name__, chapters)
    raise LookupError(f"the section {name} has no chapter in the reference; add one to CHAPTERS.")


def sections(root: type[Section] = Section) -> list[type[Section]]:
    """All kinds of sections."""
    return [root, *(each for kind in root.__subclasses__() for each in sections(kind))]


def anchor(heading: str) -> str:
    """The name that Markdown pages give to a heading."""
    return "".join(letter for letter in heading.lower().replace(" ", "-") if letter.isalnum() or letter in "-_")


def schema_text() -> str:
    """The JSON schema of a study file."""
    return json.dumps(study_schema(Study), indent=2, ensure_ascii=False) + "\n"


def metrics_page(page: str) -> str:
    """The page on metrics, in Markdown, with every marked table written anew."""
    return MARKED.sub(lambda found: f"{found[1]}\n{metrics_table(found[2], found[3])}\n\n{found[4]}", page)


def metrics_table(family: str, question: str | None) -> str:
    """What METRICS says of a family, or of one of its questions. Raises LookupError where there is no such metric."""
    asked = {name: metric for name, metric in METRICS.items() if (metric.family, metric.question) == (family, question)}
    if not asked:
        raise LookupError(f"no metric of {family} answers the question {question}; mark a table of others.")
    lines = ["| metric | values | better | over rows | what it is |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(metric_line(name, metric) for name, metric in asked.items())])


def metric_line(name: str, metric: Metric) -> str:
    """The line of a metric, by its name over rows, with the one in the scores if that is another."""
    called = f"`{over_rows(name)}`" + (f" (`{name}` in the scores)" if metric.name else "")
    meaning = " ".join(
        [
            f"**{metric.label}**: {metric.meaning}.",
            *([metric.details] if metric.details else []),
            *([f"`paper`: {metric.paper}."] if metric.paper else []),
        ]
    )
    cells = [called, metric.values, metric.better or "", metric.summary or "of the set", meaning]
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def steps_page(page: str) -> str:
    """The page on how all works, in Markdown, with the table of the steps written anew."""
    return STEPS.sub(lambda found: f"{found[1]}\n{steps_table()}\n\n{found[2]}", page)


def steps_table() -> str:
    """What each stage reads, writes and does, each after those that it reads from."""
    lines = ["| step | reads | writes | one job per | what it does |", "|---|---|---|---|---|"]
    for name, stage in stages().items():
        cells = [f"`{name}`", ", ".join(stage.reads), stage.writes, " and ".join(stage.each) or "study", stage.says]
        lines.append("| " + " | ".join(map(escaped, cells)) + " |")
    return "\n".join(lines)


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    (DOCS / "reference.md").write_text(reference(), encoding="utf-8")
    (DOCS / "study.schema.json").write_text(schema_text(), encoding="utf-8")
    for path, written_anew in ((METRICS_PAGE, metrics_page), (STEPS_PAGE, steps_page)):
        path.write_text(written_anew(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
