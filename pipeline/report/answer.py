"""The answer first: what each classifier depends on, in one sentence made from the metrics."""

from pipeline.report.numbers import interval, listing, percent
from pipeline.report.results import Results, Row
from pipeline.report.saliency import verdict
from pipeline.report.truth import NOTABLE, Dependence, dependence


def give_answer(results: Results) -> dict:
    """What every classifier depends on, or, without interventions, how often it is right."""
    return {
        "has_truth": results.has_truth,
        "interval_name": results.interval_name,
        "notable": percent(NOTABLE),
        "classifiers": [describe(results, classifier) for classifier in results.classifiers],
    }


def describe(results: Results, classifier: str) -> dict:
    """What the page says about one classifier; only what the metrics tell."""
    found = dependence(results, classifier)
    task, accuracy = results.task(classifier), accuracy_sentence(results, classifier)
    return {
        "name": classifier,
        "task": task,
        "classes": results.tasks(classifier).get(task, []),
        "headline": headline(found) if found.rows else None if results.has_truth else accuracy,
        "flips": flip_sentence(found, results.interval_name) if found.rows else None,
        "shortcut": shortcut_sentence(found, task),
        "mark": "shortcut" if shortcuts(found, task) else "honest" if task in found.concepts else "",
        "maps": verdict(results, classifier),
        "accuracy": accuracy,
    }


def headline(found: Dependence) -> str:
    """The answer in a few words, to follow the name of the classifier."""
    if found.depends:
        return f"depends on {listing(found.concepts)}"
    return "is not shown to depend on any of these concepts"


def flip_sentence(found: Dependence, interval_name: str) -> str:
    """How many images each concept flips: those above NOTABLE by name, the others by the largest rate among them."""

    def within(row: Row) -> str:
        return bounds(row) + (": undecided" if row in found.undecided else "")

    above = [*found.depends, *found.undecided]
    highest = found.others[0]["value"] if found.others else 0
    if not above:
        rest = f"at most {percent(highest)} of the images" if highest else "no image"
        return f"Changing one concept flips {rest}{reach(found.others)}."
    first, *further = above
    sentence = f"Changing {first['concept']} flips {percent(first['value'])} of the images"
    sentence += f" ({interval_name} {within(first)})"
    sentence += "".join(f", {row['concept']} {percent(row['value'])} ({within(row)})" for row in further)
    if found.others:
        rest = f"more than {percent(highest)}" if highest else "any"
        sentence += f"; no other concept flips {rest}{reach(found.others)}"
    return f"{sentence}."


def reach(rows: list[Row]) -> str:
    """How far the intervals of rates near zero reach: few images cannot show that there is nothing."""
    ends = [row["ci_high"] for row in rows if row["ci_high"] is not None]
    return f" (intervals up to {percent(max(ends))})" if ends else ""


def bounds(row: Row) -> str:
    """The interval of a metric."""
    return "not known" if row["ci_low"] is None else interval(row["ci_low"], row["ci_high"])


def shortcuts(found: Dependence, task: str | None) -> list[str] | None:
    """The concepts that a classifier should not look at, but does; None where its task is not a concept itself.

    A label that is a concept follows from that concept alone.
    """
    if task not in [row["concept"] for row in found.rows]:
        return None
    return [concept for concept in found.concepts if concept != task]


def shortcut_sentence(found: Dependence, task: str | None) -> str | None:
    """Whether a classifier looks at what it should, where that is known."""
    used = shortcuts(found, task)
    if used is None:
        return None
    sentences = [] if task in found.concepts else [f"It is not shown to look at {task}, which is its task."]
    if used:
        what = "is a shortcut" if len(used) == 1 else "are shortcuts"
        sentences.append(f"Its task is {task} alone, so {listing(used)} {what}.")
    elif not sentences:
        sentences.append("That is its task: it is not shown to use a shortcut.")
    return " ".join(sentences)


def accuracy_sentence(results: Results, classifier: str) -> str | None:
    """How often the classifier is right on the images as they are, to follow its name."""
    rows = results.metric("accuracy", classifier)
    if not rows:
        return None
    which = "unchanged images" if results.has_truth else "images"
    return f"is right on {percent(rows[0]['value'])} of the {which} ({results.interval_name} {bounds(rows[0])})"
