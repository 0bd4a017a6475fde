"""Which files of a study do not follow from it, and so are to be made: told by what each of them carries.

A table carries its options, the identity of its code, the digests of the tables and networks that it was made from; so
does the page. What Snakemake remembers of them is not asked: it knows neither what another folder wrote to the same
results, nor what a run left that was killed or failed half-way.
"""

import json
from pathlib import Path
from typing import Any

from pipeline.classifiers.identity import without_state
from pipeline.fingerprint import canonical_json
from pipeline.report.provenance import read_page_provenance
from pipeline.stages.common import provenance, read_weights
from pipeline.stages.identify import identity_now
from pipeline.study.jobs import Job, jobs_of
from pipeline.study.plan import Plan
from pipeline.tables import TableError, read_provenance


def outdated(plan: Plan) -> set[str]:
    """Files that are missing, or do not follow from the study, or are made from one of these."""
    wanted = Wanted(plan)
    found: set[str] = set()
    for job in jobs_of(plan):
        taken = [*(part for parts in job.inputs.values() for part in parts), *map(plan.identity, job.networks)]
        if not found.isdisjoint(taken) or not wanted.stands(job):
            found.update(job.outputs)
    return found


class Wanted:
    """What the files of a study are to carry."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.known: dict[str, tuple[dict[str, Any], str]] = {}
        self.weights: dict[str, Any] = {}

    def of_stage(self, stage: str) -> tuple[dict[str, Any], str]:
        """The options and the code of a stage."""
        if stage not in self.known:
            self.known[stage] = json.loads(self.plan.options(stage)), self.plan.code(stage)
        return self.known[stage]

    def stands(self, job: Job) -> bool:
        """Whether all files of a job are there and follow from the study, and from its inputs as they are now."""
        if job.stage == "identify":
            return all(self.identity_stands(Path(output)) for output in job.outputs)
        try:
            wanted = self.provenance_of(job)
            return all(compared(carried(Path(output))) == wanted for output in job.outputs)
        except (FileNotFoundError, TableError):
            return False

    def provenance_of(self, job: Job) -> str:
        """What the files of a job are to carry. Raises FileNotFoundError or TableError where an input is not there."""
        if unknown := [name for name in job.networks if name not in self.weights]:
            self.weights |= read_weights(map(self.plan.identity, unknown))
        weights = {name: self.weights[name] for name in job.networks}
        return compared(provenance(job.stage, *self.of_stage(job.stage), job.inputs, weights=weights, **job.given))

    def identity_stands(self, path: Path) -> bool:
        """Whether an identity is that of the files as they are; they are hashed where its note tells of others."""
        try:
            known = read_weights([path])[path.stem]
            return without_state(known) == without_state(identity_now(path, *self.of_stage("identify")))
        except (FileNotFoundError, ValueError):
            return False


def carried(path: Path) -> dict[str, Any]:
    """What a table or the page carries of its making. Raises TableError where it carries nothing."""
    return read_provenance(path) if path.suffix == ".parquet" else read_page_provenance(path)


def compared(told: dict[str, Any]) -> str:
    """A provenance but for empty entries, and for what the rows tell."""
    return canonical_json({key: value for key, value in told.items() if key != "tasks" and value not in ({}, "")})
