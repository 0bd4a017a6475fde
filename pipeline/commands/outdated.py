"""Which files of a study do not follow from it, and so are to be made: told by what each of them carries.

A table carries its options, the identity of its code, the digests of the tables and networks that it was made from; so
does the page. What Snakemake remembers of them is not asked: it knows neither what another folder wrote to the same
results, nor what a run left that was killed or failed half-way.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from pipeline.classifiers.identity import without_state
from pipeline.fingerprint import canonical_json
from pipeline.report.provenance import read_page_provenance
from pipeline.section import Section
from pipeline.stages.common import provenance, read_weights
from pipeline.stages.identify import identity_now
from pipeline.tables import TableError, read_provenance
from pipeline.workflow.base import Job
from pipeline.workflow.plan import Plan


def outdated(plan: Plan) -> list[Job]:
    """The jobs whose files are missing, or do not follow from the study, or are made from those of such a job."""
    wanted = Wanted(plan)
    waiting, made = [], set()
    for job in plan.all_jobs():
        if not made.isdisjoint(taken(job)) or not wanted.stands(job):
            waiting.append(job)
            made.update(job.outputs)
    return waiting


def taken(job: Job) -> list[str]:
    """The files that a job takes from jobs before it."""
    tables = [part for parts in job.inputs.values() for part in parts]
    hashed = job.plan.weights(*job.plan.identified) if "weights" in job.stage.reads else []
    return [*tables, *map(job.plan.identity, job.networks), *hashed]


def newer_files(plan: Plan, waiting: list[Job]) -> list[str]:
    """Files of the dataset that are newer than the images; which of them are others, only their content would tell."""
    images = [Path(part) for part in plan.parts("images")]
    if any(job.stage.writes == "images" for job in waiting):
        return []
    oldest = min(part.stat().st_mtime for part in images)
    return [file for file in plan.dataset_files() if Path(file).stat().st_mtime > oldest]


class Wanted:
    """What the files of a study are to carry."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.known: dict[str, tuple[Section, str]] = {}
        self.weights: dict[str, Any] = {}

    def of_stage(self, stage: str) -> tuple[Section, str]:
        """The options and the code of a stage."""
        if stage not in self.known:
            self.known[stage] = self.plan.chosen(stage), self.plan.code(stage)
        return self.known[stage]

    def stands(self, job: Job) -> bool:
        """Whether all files of a job are there and follow from the study, and from its inputs as they are now."""
        if job.stage.trains:
            return Path(job.outputs[0]).exists() and follows_its_recipe(job)
        if job.stage.name == "identify":
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
        stage = job.stage.name
        return compared(provenance(stage, *self.of_stage(stage), job.inputs, weights=weights, **job.given))

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


def follows_its_recipe(job: Job) -> bool:
    """Whether what a job trained is of the recipe that the study has now; weights that do not tell stand."""
    trained = recipe_in(Path(job.outputs[0]))
    try:
        was = job.stage.follows.model_validate(trained) if trained else job.recipe
    except ValidationError:
        return False
    return was.model_dump(exclude={"gate"}) == job.recipe.model_dump(exclude={"gate"})


def recipe_in(weights: Path) -> dict[str, Any]:
    """The recipe that trained weights carry; nothing where they carry none."""
    try:
        with safe_open(weights, "numpy") as file:
            told = json.loads(next(iter((file.metadata() or {}).values()), "{}"))
        training = told["metadata"]["training"]
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return {}
    return {**training, **{key: told[key] for key in ("architecture", "options") if key in told}}
