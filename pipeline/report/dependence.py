"""What each classifier truly depends on: a chart for each, and the numbers."""

from pipeline.report.charts import Bar, bar_chart, inlined
from pipeline.report.numbers import SPACE, percent, points
from pipeline.report.results import Results, Row
from pipeline.report.truth import NOTABLE, Dependence, dependences


def show_dependence(results: Results) -> dict | None:
    """Charts and table of the flip rates and effects; nothing where no intervention was made."""
    found = dependences(results)
    if not found:
        return None
    order = shared_order(found)
    return {
        "notable": percent(NOTABLE),
        "interval_name": results.interval_name,
        "charts": [
            {"name": each.classifier, "picture": inlined(flip_chart(each, order), describe(each), f"flips-{index}-")}
            for index, each in enumerate(found)
        ],
        "rows": [row for each in found for row in table_rows(results, each, order)],
    }


def figures(results: Results) -> dict[str, str]:
    """The charts as files of their own: name -> SVG."""
    found = dependences(results)
    order = shared_order(found)
    return {f"flips-{each.classifier}": flip_chart(each, order) for each in found}


def shared_order(found: list[Dependence]) -> list[str]:
    """All concepts, those first that flip most images of any classifier, so that charts compare line by line."""
    highest: dict[str, float] = {}
    for row in (row for each in found for row in each.rows):
        highest[row["concept"]] = max(row["value"], highest.get(row["concept"], 0.0))
    return sorted(highest, key=lambda concept: (-highest[concept], concept))


def flip_chart(found: Dependence, order: list[str]) -> str:
    """SVG of one classifier's flip rates."""
    rows = {row["concept"]: row for row in found.rows}
    bars = (
        Bar(
            concept,
            rows[concept]["value"],
            rows[concept]["ci_low"],
            rows[concept]["ci_high"],
            concept in found.concepts,
        )
        for concept in order
        if concept in rows
    )
    return bar_chart(tuple(bars), "images flipped (%)")


def describe(found: Dependence) -> str:
    """The chart in words, for those who cannot see it."""
    rates = "; ".join(f"{row['concept']} {percent(row['value'])}" for row in found.rows)
    return f"Share of images of {found.classifier} flipped by changing each concept: {rates}."


def table_rows(results: Results, found: Dependence, order: list[str]) -> list[dict]:
    """One row of the table per concept."""
    effects = {row["concept"]: row for row in results.metric("intervention_effect", found.classifier)}
    signed: dict[str, list[Row]] = {}
    for row in results.metric("average_causal_effect", found.classifier):
        signed.setdefault(row["concept"], []).append(row)
    rows = {row["concept"]: row for row in found.rows}
    return [
        {
            "classifier": found.classifier,
            "concept": concept,
            "depends": concept in found.concepts,
            "flips": rows[concept],
            "effect": effects.get(concept),
            "signed": [signed_effect(row) for row in strongest(signed.get(concept, []))],
        }
        for concept in order
        if concept in rows
    ]


def strongest(rows: list[Row]) -> list[Row]:
    """The classes to show: of two, which mirror each other, the one that gains; else the three that move most."""
    shown = sorted(rows, key=lambda row: -row["value"] if len(rows) == 2 else -abs(row["value"]))
    return shown[: 1 if len(rows) == 2 else 3]


def signed_effect(row: Row) -> dict:
    """How the probability of a class changes from absent to present, in percentage points."""
    between = ""
    if row["ci_low"] is not None:
        between = f"{points(row['ci_low'])} to {points(row['ci_high'])}"
    return {"class": row["target_class"], "change": f"{points(row['value'])}{SPACE}points", "between": between}
