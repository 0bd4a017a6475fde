"""The page: every section reads the results and fills a template of its own; together they are one HTML file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.fingerprint import canonical_json
from pipeline.report import (
    accuracy,
    answer,
    bench,
    changes,
    counterfactuals,
    dependence,
    directions,
    failures,
    gallery,
    maps,
    numbers,
    provenance,
    saliency,
    steps,
)
from pipeline.report.results import Results

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A part of the page: its heading, and the function that gives what its template shows, or None to leave it out."""

    heading: str
    build: Callable[[Results], dict[str, Any] | None]


# In the order of the page. The template of a section is templates/sections/<name>.html.
SECTIONS = {
    "answer": Section("The answer", answer.give_answer),
    "dependence": Section("What each classifier depends on", dependence.show_dependence),
    "accuracy": Section("How often the networks are right", accuracy.show_accuracy),
    "gallery": Section("Images and decisions", gallery.show_gallery),
    "saliency": Section("Which maps find the truth", saliency.compare_maps),
    "maps": Section("Maps", maps.show_maps),
    "counterfactuals": Section("What the counterfactuals are worth", counterfactuals.compare_counterfactuals),
    "changes": Section("Counterfactuals", changes.show_changes),
    "directions": Section("Directions", directions.show_directions),
    "bench": Section("What each explanation says of each concept", bench.hold_against_truth),
    "failures": Section("What failed", failures.list_failures),
    "provenance": Section("Where the tables come from", provenance.show_provenance),
    "steps": Section("The steps", steps.list_steps),
}


def build_page(results: Results, follows_from: dict[str, Any]) -> str:
    """The whole page as HTML, which also carries what it follows from; equal results give equal text."""
    templates = environment()
    shown = []
    for name, section in SECTIONS.items():
        context = section.build(results)
        if context is not None:
            body = Markup(templates.get_template(f"sections/{name}.html").render(context))
            shown.append({"name": name, "heading": context.get("heading") or section.heading, "body": body})
    return templates.get_template("page.html").render(
        title=results.options.title or results.options.study,
        study=results.options.study,
        follows_from=Markup(canonical_json(follows_from).replace("<", "\\u003c")),
        introduction=introduction(results),
        facts=facts(results),
        sections=shown,
        style=asset("report.css"),
        script=asset("sort.js"),
    )


@cache
def environment() -> Environment:
    """Templates that escape everything that is not ours, and stop at a name that nothing fills."""
    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("percent", "interval", "points", "count", "listing", "hundredths", "decimal"):
        templates.filters[name] = getattr(numbers, name)
    return templates


def asset(name: str) -> Markup:
    """A file of our own that becomes part of the page as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def introduction(results: Results) -> str:
    """What this page is, in two sentences."""
    classifiers = numbers.count(len(results.classifiers), "image classifier")
    images = numbers.count(results.good("images").height, "image")
    if not results.has_truth:
        return (
            f"This page shows how {classifiers} answered on {images}."
            " The images were collected, not drawn by a program, so nobody can say what they would have looked like"
            " with one thing changed: there are no interventions, and what a classifier truly depends on is not shown."
        )
    return (
        f"This page shows what {classifiers} looked at to judge {images}."
        f" Every image was drawn again with exactly one thing changed ({numbers.listing(results.concepts, 'or')}) and"
        " everything else kept, so that it is known, not guessed, what makes a classifier change its decision."
    )


def facts(results: Results) -> list[tuple[str, str]]:
    """The size of the study in numbers: what is counted, and the count."""
    images = results.good("images")
    roles = results.options.roles
    counted = [("images", f"{images.height:,}")]
    sizes = images.select("width", "height").unique().rows()
    if len(sizes) == 1:
        counted.append(("pixels", "{} \N{MULTIPLICATION SIGN} {}".format(*sizes[0])))
    if results.has_truth:
        counted.append(("images with one change", f"{results.good('interventions').height:,}"))
    counted.append(("classifiers" if len(roles["classifiers"]) != 1 else "classifier", str(len(roles["classifiers"]))))
    judges = len(roles["oracles"]) + len(roles["readers"])
    if judges:
        counted.append(("networks that judge" if judges > 1 else "network that judges", str(judges)))
    methods = results.tables["saliency"]["method"].n_unique()
    if methods:
        counted.append(("kinds of map" if methods > 1 else "kind of map", str(methods)))
    seed = results.provenance("images").get("seed")
    if seed is not None:
        counted.append(("seed", str(seed)))
    return counted
