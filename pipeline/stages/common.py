"""What stages share: the account of a job's cost, and the identity of what a network computes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from pipeline.costs import Stopwatch
from pipeline.fingerprint import fingerprint
from pipeline.tables import write_table

LIBRARIES = {"file": ["torch", "timm"], "timm": ["torch", "timm"], "onnx": ["onnxruntime"]}


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
    folder = next((parent for parent in output.parents if parent.name == study), output.parent)
    part = "-".join(output.relative_to(folder).with_suffix("").parts)
    row = account.clock.row(
        stage, study=study, part=part, device=account.device, rows=account.rows, rows_computed=account.rows_computed
    )
    write_table(folder / "costs" / f"{part}.parquet", "costs", [row], {"stage": stage, "study": study})


def provenance(stage: str, options: Mapping[str, Any], code: str, inputs: list[str], **more: Any) -> dict[str, Any]:
    """What the rows of a table follow from: the stage, its options, the identity of its code, the tables it read."""
    told = {"stage": stage, "study": options["study"], "options": dict(options), "code": code, "inputs": inputs, **more}
    return {**told, "seed": options["seed"]} if "seed" in options else told


def network_identity(entry: Mapping[str, Any], identity: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """All that decides what a network answers: files and options, the code that loads and wraps it, its library."""
    from pipeline.classifiers.load import LOADERS

    kind = next(kind for kind in LOADERS if kind in entry)
    modules = ["pipeline.classifiers.load", LOADERS[kind].split(":")[0]]
    return {
        "network": dict(identity),
        "seed": seed if entry.get("classifier_perturbation") else None,
        "code": [fingerprint(module, deciding=True) for module in modules],
        "libraries": {name: release(name) for name in LIBRARIES.get(kind, ["torch"])},
    }


def release(library: str) -> str:
    """The major and minor version of an installed library: patches do not change what it computes."""
    return ".".join(metadata.version(library).split(".")[:2])
