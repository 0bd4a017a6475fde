"""Images with the interventions that flip the decision of a classifier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.report.numbers import percent
from pipeline.report.pictures import picture
from pipeline.report.results import Results, Row

if TYPE_CHECKING:
    import polars


@dataclass(frozen=True)
class Example:
    """One image as one classifier sees it.

    original: its prediction. changes: its interventions in the order of the table, each with its prediction, which is
    missing (None) where the intervention or the prediction failed.
    """

    original: Row
    changes: list[Row]

    @property
    def unknown(self) -> list[Row]:
        """The interventions of which no prediction is known."""
        return [row for row in self.changes if row["predicted"] is None]

    @property
    def flips(self) -> list[Row]:
        """The interventions that flip the decision."""
        return [row for row in self.changes if row["predicted"] not in (None, self.original["predicted"])]

    @property
    def flipping(self) -> list[str]:
        """The concepts of which some change flips the decision."""
        return list(dict.fromkeys(row["concept"] for row in self.flips))

    @property
    def keeping(self) -> list[str]:
        """The concepts of which every change keeps the decision."""
        others = {row["concept"] for row in [*self.unknown, *self.flips]}
        concepts = dict.fromkeys(row["concept"] for row in self.changes)
        return [concept for concept in concepts if concept not in others]


def show_gallery(results: Results) -> dict | None:
    """A gallery for each classifier; nothing where the study wants no examples."""
    galleries = [{"name": classifier, "cards": cards(results, classifier)} for classifier in results.classifiers]
    if not any(gallery["cards"] for gallery in galleries):
        return None
    return {"has_truth": results.has_truth, "galleries": galleries}


def cards(results: Results, classifier: str) -> list[dict]:
    """The examples of a classifier as the page shows them."""
    shown = examples(results, classifier)
    originals = [example.original["source_row_id"] for example in shown]
    flips = [row["row_id"] for example in shown for row in example.flips]
    pictures = {**results.pictures("images", originals), **results.pictures("interventions", flips)}
    return [card(results, example, pictures) for example in shown]


def examples(results: Results, classifier: str) -> list[Example]:
    """The images to show, as many as the study asks for.

    With interventions: those first that most concepts flip, those that none flips last. Without: the most confident
    mistakes first, then the least certain answers. Ties stay in the order of the images.
    """
    import polars

    of_classifier = polars.col("classifier") == classifier
    of_task = polars.col("task").eq_missing(results.task(classifier))
    predictions = results.good("predictions").filter(of_classifier & of_task)
    originals = predictions.filter(polars.col("source") == "images")
    changes = results.tables["interventions"].join(
        predictions.filter(polars.col("source") == "interventions").select("source_row_id", "predicted", "confidence"),
        left_on="row_id",
        right_on="source_row_id",
        how="left",
        maintain_order="left",
    )
    ranked = by_flips(originals, changes) if results.has_truth else by_certainty(originals)
    chosen = ranked.head(results.options.examples).to_dicts()
    image_ids = [row["image_id"] for row in chosen]
    of_image: dict[str, list[Row]] = {}
    for row in changes.filter(polars.col("image_id").is_in(image_ids)).to_dicts():
        of_image.setdefault(row["image_id"], []).append(row)
    return [Example(row, of_image.get(row["image_id"], [])) for row in chosen]


def by_flips(originals: polars.DataFrame, changes: polars.DataFrame) -> polars.DataFrame:
    """Order images by how many concepts flip them."""
    import polars

    before = originals.select("image_id", before="predicted")
    flipped = changes.join(before, on="image_id").filter(polars.col("predicted") != polars.col("before"))
    counted = flipped.group_by("image_id").agg(flipping=polars.col("concept").n_unique())
    joined = originals.join(counted, on="image_id", how="left", maintain_order="left")
    return joined.sort(polars.col("flipping").fill_null(0), descending=True, maintain_order=True)


def by_certainty(originals: polars.DataFrame) -> polars.DataFrame:
    """Order images from the most confident mistake to the least, and then from the least certain answer on."""
    import polars

    wrong = (polars.col("predicted") != polars.col("label")).fill_null(False)
    certainty = polars.when(wrong).then(-polars.col("confidence")).otherwise(polars.col("confidence"))
    return originals.sort(~wrong, certainty, maintain_order=True)


def card(results: Results, example: Example, pictures: dict[str, bytes]) -> dict:
    """What the page shows of an example; pictures: row_id -> PNG."""
    original = example.original
    image_id, classifier, task = (original[key] for key in ("image_id", "classifier", "task"))

    def view(row: Row, row_id: str, change: str) -> dict:
        decision = f"{task}: {results.class_name(classifier, task, row['predicted'])}"
        confidence = percent(row["confidence"])
        return {
            "picture": picture(pictures[row_id]) if row_id in pictures else None,
            "is_original": row is original,
            "change": change,
            "decision": decision,
            "confidence": confidence,
            "words": f"Image {image_id}{change and f', {change}'}: {classifier} says {decision}, {confidence} sure.",
        }

    unchanged = view(original, original["source_row_id"], "unchanged" if example.changes else "")
    unchanged["truth"] = None if original["label"] is None else results.class_name(classifier, task, original["label"])
    unchanged["right"] = original["label"] == original["predicted"]
    return {
        "image_id": image_id,
        "original": unchanged,
        "flips": [view(row, row["row_id"], name_change(results, row)) for row in example.flips],
        "flipping": example.flipping,
        "keeping": example.keeping,
        "changes": len(example.changes),
        "unknown": len(example.unknown),
    }


def name_change(results: Results, row: Row) -> str:
    """An intervention in words."""
    original = results.value_name(row["concept"], row["original"])
    return f"{row['concept']}: {original} \N{RIGHTWARDS ARROW} {row['value_name']}"
