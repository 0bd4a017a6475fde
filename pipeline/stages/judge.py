"""Ask every network that judges what it sees in the counterfactuals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.stages.judges import judges_of
from pipeline.stages.predict import ask, prediction_rows
from pipeline.tables import TableWriter, read_provenance, read_table

COLUMNS = ["row_id", "image_id", "classifier", "status", "image", "content"]

Row = dict[str, Any]


def judge(
    options: str,
    code: str,
    predictions: Path,
    counterfactuals: list[Path],
    identities: list[Path],
    store: Path,
    judged: Path,
) -> None:
    """Write one row per network, task and counterfactual of a classifier that the network judges.

    predictions: what the networks said of the images; tells their tasks. Counterfactuals that failed are left out.
    Of equal pixels made from one image a network is asked once, whoever made them.
    """
    chosen = read_options("judge", options)
    with job("judge", chosen.study, judged) as account:
        with account.clock("tables"):
            rows = list(read_rows(counterfactuals))
            known = read_provenance(predictions)["tasks"]
        told = provenance(
            "judge",
            chosen,
            code,
            {"counterfactuals": counterfactuals, "predictions": [predictions]},
            weights=read_weights(identities),
            tasks=known,
        )
        judges = {name: judges_of(name, known, chosen.roles) for name in {row["classifier"] for row in rows}}
        with TableWriter(judged, "predictions", told) as table:
            for path in identities:
                own = [row for row in rows if path.stem in judges[row["classifier"]]]
                if own:
                    heads, found = ask(path, chosen, own, store, account)
                    with account.clock("tables"):
                        table.extend(prediction_rows(path.stem, heads, own, found.to_pylist(), {}))
            account.rows = table.rows


def read_rows(counterfactuals: list[Path]) -> Iterator[Row]:
    """The counterfactuals that were made; they have no labels."""
    for row in read_table(counterfactuals, "counterfactuals", COLUMNS).to_pylist():
        if row["status"] == "ok":
            yield {**row, "source": "counterfactuals", "labels": {}, "key": row["image_id"]}
