"""What stages share: the account of a job's cost, and the provenance of a table."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.costs import Stopwatch
from pipeline.tables import write_table


@dataclass
class Job:
    """The account of one job: time by cause, rows written and computed, network evaluations."""

    clock: Stopwatch = field(default_factory=Stopwatch)
    rows: int = 0
    rows_computed: int = 0
    device: Any = "cpu"


@contextmanager
def job(stage: str, study: str, output: Path) -> Iterator[Job]:
    """Account for a job and write what it cost to the folder `costs` of the study, which no rule reads.

    output: the file that the job writes; where it lies outside a folder of the study's name, `costs` is beside it.
    """
    account = Job()
    yield account
    path = costs_file(study, output)
    row = account.clock.row(
        stage,
        study=study,
        part=path.stem,
        device=account.device,
        rows=account.rows,
        rows_computed=account.rows_computed,
    )
    write_table(path, "costs", [row], {"stage": stage, "study": study})


def costs_file(study: str, output: Path) -> Path:
    """Where the cost of the job that writes `output` (of several files, the first) is kept."""
    folder = next((parent for parent in output.parents if parent.name == study), output.parent)
    return folder / "costs" / f"{'-'.join(output.relative_to(folder).with_suffix('').parts)}.parquet"


def provenance(stage: str, options: Mapping[str, Any], code: str, inputs: list[str], **more: Any) -> dict[str, Any]:
    """What the rows of a table follow from: the stage, its options, the identity of its code, the tables it read."""
    told = {"stage": stage, "study": options["study"], "options": dict(options), "code": code, "inputs": inputs, **more}
    return {**told, "seed": options["seed"]} if "seed" in options else told
