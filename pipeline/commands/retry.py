"""Compute the rows of a study that failed once more."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
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
from pipeline.tables import SCHEMAS, read_table
from pipeline.workflow import stages
from pipeline.workflow.base import Job, Kept
from pipeline.workflow.plan import Plan

NAMES = ("classifier", "source", "source_row_id", "image_id", "method")
"""The columns that tell of whom and what a row is, in tables that have them."""


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
    """The failed rows of a study, save for those that follow from others."""
    found = []
    for table, part in [(job.stage.writes, part) for job in able_to_fail(plan) for part in job.outputs]:
        columns = ["status", "reason", *(name for name in NAMES if name in SCHEMAS[table].names)]
        rows = read_table(part, table, columns).to_pylist() if Path(part).exists() else []
        found += [FailedRow(table, part, row) for row in rows if row["status"] == "failed"]
    return found


def able_to_fail(plan: Plan) -> list[Job]:
    """The jobs whose rows can fail by themselves."""
    return [job for job in plan.all_jobs() if job.stage.fails and job.stage.files is None]


def looked_at(row: Mapping[str, Any]) -> str:
    """What a row is kept under: its image or, of a prediction, what was looked at, save for counterfactuals."""
    return row["image_id"] if row.get("source") in (None, "counterfactuals") else row["source_row_id"]


def forget(plan: Plan, failed: Iterable[FailedRow]) -> None:
    """Take failed rows out of the row stores that they came from; the rows of other studies stay."""
    stores = {
        path.parent: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob(f"rows/*/*/{IDENTITY}")
    }
    for needed in needed_by(plan):
        table, kept = stages()[needed.stage].writes, needed.kept
        of_store = [row.columns for row in failed if row.table == table and is_of(row.columns, kept)]
        images = set(map(looked_at, of_store))
        for folder, identity in stores.items():
            if images and needed.is_kept_in(identity):
                forget_failed(folder, images)


def is_of(row: Mapping[str, Any], kept: Kept) -> bool:
    """Whether a row is of the network and the method whose rows are kept."""
    return (row.get("classifier"), row.get("method")) == (kept.network, kept.method)


def account(failed: Iterable[FailedRow]) -> list[str]:
    """How many rows are computed again, by table and reason, one line each."""
    counts = Counter((row.table, row.columns["reason"]) for row in failed)
    return [
        f"{table}: {count} failed {'row' if count == 1 else 'rows'} forgotten ({reason})"
        for (table, reason), count in sorted(counts.items())
    ]
