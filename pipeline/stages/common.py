"""What stages share: the account of a job's cost, and the provenance of a table."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow

from pipeline.costs import Stopwatch
from pipeline.section import Section
from pipeline.tables import SCHEMAS, digest_of, write_table

if TYPE_CHECKING:
    from torch.nn import Module


def unheard(images: int) -> None:
    """Take no notice of passes."""


@dataclass
class Job:
    """The account of one job: time by cause, rows written and computed, network evaluations, and where it computes.

    passed: told how many images pass through a network of the job, as often as some do.
    """

    clock: Stopwatch = field(default_factory=Stopwatch)
    rows: int = 0
    rows_computed: int = 0
    device: Any = "cpu"
    passed: Callable[[int], object] = unheard

    def place(self, network: "Module") -> Any:
        """The network on the device of the job, which tells `passed` of what goes through it."""
        from pipeline.device import pick_device, place

        self.device = pick_device()
        network.register_forward_hook(lambda network, inputs, outputs: self.passed(len(inputs[0])))
        return place(network, self.device)


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


def read_options(stage: str, options: str) -> Any:
    """The options of a stage with their types, from the JSON in which its rule hands them over.

    Their types stand in its declaration, which is found by name, and so is in no fingerprint of code.
    """
    return import_module(f"pipeline.workflow.{stage}").Options.model_validate_json(options)


def kept_columns(stage: str) -> pyarrow.Schema:
    """What the row store keeps of each row of a stage, as its declaration says."""
    declared = import_module(f"pipeline.workflow.{stage}").STAGE
    columns = SCHEMAS[declared.keeps_of or declared.writes]
    return pyarrow.schema([pyarrow.field(name, columns.field(name).type) for name in declared.keeps])


def provenance(
    stage: str, options: Section, code: str, inputs: Mapping[str, Sequence[str | Path]], **more: Any
) -> dict[str, Any]:
    """What a table, or the page, follows from: stage, options, the identity of its code, and what it was made from.

    inputs: the parts of each table that it is made from. more: what else decides its rows.
    """
    made_from = {table: digest_of(parts) for table, parts in inputs.items() if parts}
    chosen = options.model_dump(mode="json")
    told = {"stage": stage, "study": chosen["study"], "options": chosen, "code": code, "inputs": made_from}
    return {**told, **more, **({"seed": chosen["seed"]} if "seed" in chosen else {})}


def read_weights(identities: Iterable[str | Path]) -> dict[str, Any]:
    """What each network or generator is, by its name, from the small files that the stage `identify` wrote."""
    return {Path(path).stem: json.loads(Path(path).read_text(encoding="utf-8")) for path in identities}
