"""Tell in words what would run, and because of which option, module or file.

Both are found by comparing what a file carries (options, code, digests of what it was made from) and what the job that
wrote it noted (its modules) with the study, its tables and the code as they are now.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.commands.outdated import carried, newer_files, outdated, recipe_in, taken
from pipeline.fingerprint import module_digests
from pipeline.stages.common import costs_file, read_weights
from pipeline.study import load_study
from pipeline.tables import TableError, digest_of, read_table
from pipeline.workflow.base import Job
from pipeline.workflow.plan import Plan

UNKNOWN = "it is cut off, or nothing tells how it was made"
LISTED = 6  # names in a sentence; of more, only how many others there are
NOTHING: Any = object()


@dataclass(frozen=True)
class Cause:
    """Why a job would run; in the words, … stands for the name of the module or file, if it is one."""

    words: str
    name: str = ""


def why(study: str = "default") -> None:
    """Tell in words what would run of a study, and because of which option, module or file."""
    plan = Plan(load_study(study))
    plan.check_weights()
    jobs = outdated(plan)
    newer = newer_files(plan, jobs)
    if jobs:
        print(f"{len(jobs)} job{'s' if len(jobs) > 1 else ''} would run.")
    elif not newer:
        print(f"Nothing to do: the tables and the report of the study {plan.study.study} are up to date.")
    for line in explained(jobs):
        print(line)
    if newer:
        too = ", too," if jobs else ""
        print(f"sample runs{too} where the content of a file is another: {listing(newer)}, newer than the images.")


def explained(jobs: Sequence[Job]) -> list[str]:
    """One line for each cause, with all jobs that it makes run; modules and files of the same jobs share one."""
    anew = {output for job in jobs for output in job.outputs}
    by_cause: dict[Cause, dict[str, list[Job]]] = {}
    for job in jobs:
        for cause in causes(job, anew):
            by_cause.setdefault(cause, {}).setdefault(job.stage.name, []).append(job)
    by_jobs: dict[tuple[str, str], list[str]] = {}
    for cause, stages in by_cause.items():
        by_jobs.setdefault(("; ".join(map(subject, stages.values())), cause.words), []).append(cause.name)
    return [f"{who}: {told(words, names)}" for (who, words), names in by_jobs.items()]


def told(words: str, names: Sequence[str]) -> str:
    """The words of causes that differ in a name alone."""
    return words.replace("…", listing(names))


def subject(jobs: Sequence[Job]) -> str:
    """What runs, of jobs of one stage: `saliency of smile-cnn, parts 000 and 001`."""
    networks = list(dict.fromkeys(name for job in jobs if (name := job.classifier or job.network)))
    parts = sorted({job.shard for job in jobs if job.shard is not None})
    whose = f"{jobs[0].stage.name}{f' of {listing(networks)}' if networks else ''}"
    if not parts:
        return whose
    if len(parts) > 2 and int(parts[-1]) - int(parts[0]) == len(parts) - 1:
        return f"{whose}, parts {parts[0]} to {parts[-1]}"
    return f"{whose}, part{'s' if len(parts) > 1 else ''} {listing(parts)}"


def causes(job: Job, anew: set[str]) -> list[Cause]:
    """Why a job would run. anew: the files that the jobs of this run would make."""
    there = [output for output in job.outputs if Path(output).exists()]
    if not there:
        return [Cause(f"its {kind_of(job.outputs[0])} does not exist yet")]
    found = [Cause(f"{short(output)} does not exist yet") for output in job.outputs if output not in there]
    told = carried_by(job, there)
    if told:
        found += option_causes(job, told)
        found += code_causes(job, told)
        found += given_causes(job, told)
        found += input_causes(job, told, anew)
    made = list(dict.fromkeys(short(file) for file in taken(job) if file in anew))
    if made:
        found.append(Cause(f"its input{'s' if len(made) > 1 else ''} {listing(made)} will be made anew"))
    return found or [Cause("the files of its networks are others" if job.stage.writes == "identities" else UNKNOWN)]


def carried_by(job: Job, there: Sequence[str]) -> dict[str, Any]:
    """What the files of a job carry of their making; empty where one carries nothing."""
    if job.stage.trains:
        recipe = recipe_in(Path(there[0]))
        return {"options": recipe} if recipe else {}
    if job.stage.writes == "identities":
        return {}
    try:
        told, *_ = [carried(Path(output)) for output in there]
    except TableError:
        return {}
    return told


def option_causes(job: Job, told: Mapping[str, Any]) -> Iterator[Cause]:
    """Options that differ between what stands and the study."""
    now = job.plan.chosen(job.stage.name, job.network).model_dump(mode="json")
    kind = kind_of(job.outputs[0])
    for path, was, became in changed_options(told["options"], now):
        yield Cause(option_cause(path, was, became, kind))


def given_causes(job: Job, told: Mapping[str, Any]) -> Iterator[Cause]:
    """Other numbers that differ between what stands and the study."""
    was, became = told.get("rows"), job.given.get("rows")
    if was != became:
        yield Cause(f"{was} of its images are explained in the table and {became} in the study")
    had, has = (of.get("files", "").rpartition(",")[0] for of in (told, job.given))
    if had != has:
        yield Cause(f"its dataset had {had or 'no files'} and has {has or 'none'}")
    elif told.get("files") != job.given.get("files"):
        yield Cause("files of its dataset have other sizes")


def input_causes(job: Job, told: Mapping[str, Any], anew: set[str]) -> Iterator[Cause]:
    """Tables and networks that are others now than those that what stands was made from, and not made in this run."""

    def stand(files: Sequence[str]) -> bool:
        return anew.isdisjoint(files) and all(Path(file).exists() for file in files)

    for table, parts in job.inputs.items():
        if stand(parts) and told.get("inputs", {}).get(table) != digest_of(parts):
            yield Cause("it was made from other tables of …", table)
    standing = [name for name in job.networks if stand([job.plan.identity(name)])]
    for name, identity in read_weights(map(job.plan.identity, standing)).items():
        if told.get("weights", {}).get(name) != identity:
            yield Cause("it was made with another …", name)


def option_cause(path: str, was: Any, became: Any, kind: str) -> str:
    if was is NOTHING:
        return f"the option {path} is new"
    if became is NOTHING:
        return f"the option {path} is in the {kind}, but no longer in the study"
    return f"the option {path} is {in_words(was)} in the {kind} and {in_words(became)} in the study"


def in_words(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def changed_options(before: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The dotted path of each option that differs, with both values; NOTHING where one side does not have it."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{path}.{key}" if path else str(key)
            yield from changed_options(before.get(key, NOTHING), now.get(key, NOTHING), inner)
    elif before != now:
        yield path, before, now


def code_causes(job: Job, told: Mapping[str, Any]) -> list[Cause]:
    """Which modules changed since the job that made what stands noted its own."""
    stage = job.stage.name
    if "code" not in told or told["code"] == job.plan.code(stage):
        return []
    noted = noted_modules(job.plan, job.outputs[0])
    found = [] if noted is None else changed_modules(noted, module_digests(job.plan.modules(stage)))
    by_template = stage == "report" and noted is not None
    return found or [Cause("a template of the page changed" if by_template else "its code changed")]


def changed_modules(noted: Mapping[str, str], now: Mapping[str, str]) -> list[Cause]:
    """The modules that a job runs now with other digests than those noted, and those that are new to it."""
    changed = [Cause("the code of … changed", name) for name in now if name in noted and noted[name] != now[name]]
    return [*changed, *(Cause("it now uses …", name) for name in now if name not in noted)]


def noted_modules(plan: Plan, output: str) -> dict[str, str] | None:
    """Digests of the modules of the job that wrote a file, or None where it left no note that can be read."""
    path = costs_file(plan.study.study, Path(output))
    try:
        (row,) = read_table(path, "costs", ["modules"]).to_pylist(maps_as_pydicts="strict")
    except TableError:
        return None
    return row["modules"]


def short(file: str) -> str:
    """A file of the results by its place among them, without the number of its part; any other as it is."""
    match = re.fullmatch(r"results/studies/[^/]+/(?:tables/)?(.+?)(?:/part-\d+)?\.\w+", file)
    return re.sub(r"^(\w+)/\1/", r"\1/", match[1]) if match else file


def kind_of(output: str) -> str:
    """What an output is to the person who reads about it."""
    return {".parquet": "table", ".html": "page", ".safetensors": "network"}.get(Path(output).suffix, "file")


def listing(names: Sequence[str]) -> str:
    """Names as a sentence lists them: `a`, `a and b`, `a, b and c`, `a, b, c, d, e, f and 9 more`."""
    shown = list(names[:LISTED])
    rest = [f"{len(names) - LISTED} more"] if len(names) > LISTED else []
    *first, last = [*shown, *rest]
    return f"{', '.join(first)} and {last}" if first else last
