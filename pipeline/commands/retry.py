"""Compute the rows of a study that failed once more."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.commands.holder import RESULTS
from pipeline.commands.needed import needed_by
from pipeline.commands.records import make_anew
from pipeline.commands.run import go_on, take_over
from pipeline.rowfiles import forget_failed
from pipeline.rows import IDENTITY
from pipeline.study import load_study
from pipeline.study.plan import Plan
from pipeline.tables import read_table

# The table of each stage that keeps rows in the row store, and the column that names the image of a row there.
STORED = {"predict": ("predictions", "looked_at"), "saliency": ("saliency", "image_id")}
STORED["counterfactuals"] = ("counterfactuals", "image_id")
NAMES = {"predictions": ["classifier", "source", "source_row_id", "image_id"]}
NAMES["saliency"] = NAMES["counterfactuals"] = ["classifier", "image_id", "method"]


@dataclass(frozen=True)
class FailedRow:
    """A failed row: the table and the part that it stands in, and its columns."""

    table: str
    part: str
    columns: dict[str, Any]


def retry(study: str = "default", profile: str = "laptop") -> None:
    """Forget the rows of a study that failed, and compute them again with all that follows from them."""
    plan = Plan(load_study(study))
    take_over(plan, study, profile)
    failed = failed_rows(plan)
    if not failed:
        print(f"No row of the study {plan.study.study} has failed; there is nothing to retry.")
        return
    # The marks come first: where this is killed before the rows are computed, the next run does it.
    make_anew(sorted({row.part for row in failed}))
    forget(plan, failed)
    for line in account(failed):
        print(line)
    go_on(study, profile, [])


def failed_rows(plan: Plan) -> list[FailedRow]:
    """The failed rows of a study, save for those of scores and metrics, which follow from the others."""
    found = []
    for table, parts in tables(plan).items():
        columns = ["status", "reason", *NAMES.get(table, [])]
        for part in parts:
            rows = read_table(part, table, columns).to_pylist() if Path(part).exists() else []
            found += [FailedRow(table, part, row | looked_at(row)) for row in rows if row["status"] == "failed"]
    return found


def looked_at(row: dict[str, Any]) -> dict[str, str]:
    """What a prediction is kept under: an image or intervention, or the image of which there are counterfactuals."""
    if "source" not in row:
        return {}
    return {"looked_at": row["image_id" if row["source"] == "counterfactuals" else "source_row_id"]}


def tables(plan: Plan) -> dict[str, list[str]]:
    """The parts of the tables whose rows can fail by themselves."""
    return {
        "images": plan.parts("images", "sample"),
        "interventions": plan.parts("interventions", "intervene") if plan.has_truth else [],
        "predictions": [*plan.parts("predictions", "predict"), *plan.judged()],
        "saliency": plan.maps(),
        "counterfactuals": plan.counterfactuals(),
    }


def forget(plan: Plan, failed: Iterable[FailedRow]) -> None:
    """Take failed rows out of the row stores that they came from; the rows of other studies stay."""
    stores = {
        path.parent: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob(f"rows/*/*/{IDENTITY}")
    }
    for needed in needed_by(plan):
        table, name = STORED[needed.stage]
        of_store = [row.columns for row in failed if row.table == table and row.columns["classifier"] == needed.network]
        images = {row[name] for row in of_store if row.get("method") == needed.method}
        for folder, identity in stores.items():
            if images and needed.is_kept_in(identity):
                forget_failed(folder, images)


def account(failed: Iterable[FailedRow]) -> list[str]:
    """How many rows are computed again, by table and reason, one line each."""
    counts = Counter((row.table, row.columns["reason"]) for row in failed)
    return [
        f"{table}: {count} failed {'row' if count == 1 else 'rows'} forgotten ({reason})"
        for (table, reason), count in sorted(counts.items())
    ]
