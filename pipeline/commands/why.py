"""Tell in words what would run, and because of which option, module or file.

What would run is Snakemake's word. Why is found by comparing what a table carries (options, code) and what the job that
wrote it noted (its modules) with the study and the code as they are now.
"""

import json
import re
from ast import literal_eval
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.commands.holder import RESULTS, is_held
from pipeline.commands.outdated import carried
from pipeline.commands.run import executor, mark, trained_elsewhere
from pipeline.commands.workflow import snakemake
from pipeline.errors import UserError
from pipeline.fingerprint import module_digests
from pipeline.stages.common import costs_file, read_weights
from pipeline.study import load_study
from pipeline.study.jobs import Job, jobs_of
from pipeline.study.plan import Plan
from pipeline.study.trained import TRAINED_BY
from pipeline.tables import TableError, digest_of, read_table

MISSING, INCOMPLETE, UPDATED = "Missing output files", "Incomplete output files", "Updated input files"
FILES, RULE, PARAMS = "Set of input files has changed", "Code has changed", "Params have changed"
REASONS = (MISSING, INCOMPLETE, UPDATED, "Input files updated by another job", FILES, RULE, PARAMS, "Software environ")
LISTED = 6  # names in a sentence; of more, only how many others there are
NOTHING: Any = object()


@dataclass(frozen=True)
class Cause:
    """Why a job would run; in the words, … stands for the name of the module or file, if it is one."""

    words: str
    name: str = ""


@dataclass(frozen=True)
class Planned:
    """A job that Snakemake would run: its rule, files and wildcards, and its reasons in Snakemake's words."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    wildcards: Mapping[str, str]
    reasons: Mapping[str, str]

    @property
    def who(self) -> str | None:
        """The network that the job is for."""
        return self.wildcards.get("classifier") or self.wildcards.get("network")


def why(study: str = "default", profile: str = "laptop") -> None:
    """Tell in words what would run of a study, and because of which option, module or file."""
    plan = Plan(load_study(study))
    plan.check_weights()
    jobs = planned_jobs(dry_run(study, profile))
    if not jobs:
        print(f"Nothing to do: the tables and the report of the study {plan.study.study} are up to date.")
        return
    print(f"{len(jobs)} job{'s' if len(jobs) > 1 else ''} would run.")
    for line in explained(jobs, plan):
        print(line)


def dry_run(study: str, profile: str) -> str:
    """What Snakemake says that a run would do; raises UserError, in its words, where it finds no way to do it."""
    executor(profile)
    if not is_held(RESULTS):
        mark(Plan(load_study(study)))
    arguments = ["--dry-run", "--quiet", "host", "--nocolor"]
    if trained_elsewhere():
        arguments += ["--consider-ancient", "train=images"]
    process = snakemake(study, profile, arguments, capture_output=True, text=True)
    if process.returncode:
        raise UserError((process.stderr or process.stdout).strip())
    return process.stdout + process.stderr


def planned_jobs(said: str) -> list[Planned]:
    """The jobs that a dry run lists, but those of rules that only name targets."""
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", said, re.MULTILINE)
    jobs = []
    for rule, lines in blocks:
        fields = dict(line.strip().partition(": ")[::2] for line in lines.splitlines())
        if "output" in fields:
            wildcards = dict(pair.split("=", 1) for pair in listed_in(fields.get("wildcards", "")))
            files = (tuple(listed_in(fields.get(kind, ""))) for kind in ("input", "output"))
            jobs.append(Planned(rule, *files, wildcards, reasons_in(fields.get("reason", ""))))
    return jobs


def listed_in(text: str) -> list[str]:
    return text.split(", ") if text else []


def reasons_in(text: str) -> dict[str, str]:
    """Snakemake's reasons by the words that each begins with, and what it tells beyond them."""
    alternatives = "|".join(map(re.escape, REASONS))
    found = re.split(rf"(?:^|; )(?={alternatives})", text)
    split = (re.match(rf"({alternatives})[^:]*:?\s*(.*)", reason) for reason in found)
    return {match[1]: match[2] for match in split if match}


def explained(jobs: Sequence[Planned], plan: Plan) -> list[str]:
    """One line for each cause, with all jobs that it makes run; modules and files of the same jobs share one."""
    anew = {output for job in jobs for output in job.outputs}
    wired = {output: each for each in jobs_of(plan) for output in each.outputs}
    by_cause: dict[Cause, dict[str, list[Planned]]] = {}
    for job in jobs:
        for cause in causes(job, plan, anew, wired.get(job.outputs[0])):
            by_cause.setdefault(cause, {}).setdefault(job.rule, []).append(job)
    by_jobs: dict[tuple[str, str], list[str]] = {}
    for cause, rules in by_cause.items():
        by_jobs.setdefault(("; ".join(map(subject, rules.values())), cause.words), []).append(cause.name)
    return [f"{who}: {told(words, names)}" for (who, words), names in by_jobs.items()]


def told(words: str, names: Sequence[str]) -> str:
    """The words of causes that differ in a name alone."""
    return words.replace("the file …", "the files …" if len(names) > 1 else "the file …").replace("…", listing(names))


def subject(jobs: Sequence[Planned]) -> str:
    """What runs, of jobs of one rule: `saliency of smile-cnn, parts 000 and 001`."""
    networks = list(dict.fromkeys(job.who for job in jobs if job.who))
    parts = sorted({job.wildcards["shard"] for job in jobs if "shard" in job.wildcards})
    of = f" of {listing(networks)}" if networks else ""
    if not parts:
        return f"{jobs[0].rule}{of}"
    if len(parts) > 2 and int(parts[-1]) - int(parts[0]) == len(parts) - 1:
        return f"{jobs[0].rule}{of}, parts {parts[0]} to {parts[-1]}"
    return f"{jobs[0].rule}{of}, part{'s' if len(parts) > 1 else ''} {listing(parts)}"


def causes(job: Planned, plan: Plan, anew: set[str], wired: Job | None = None) -> list[Cause]:
    """Why a job would run. anew: the files that the jobs of this run would make. wired: what the job is made from."""
    there = [Path(output) for output in job.outputs if Path(output).exists()]
    if not there:
        return [Cause(f"its {kind_of(job.outputs[0])} does not exist yet")]
    found = [Cause(f"{short(output)} does not exist yet") for output in job.outputs if not Path(output).exists()]
    told = provenance_in(there)
    before, _ = changed_params(job.reasons.get(PARAMS, ""))
    found += [Cause(words) for words in option_causes(job, plan, told, before)]
    found += code_causes(job, plan, told, before)
    if wired is not None and isinstance(told.get("inputs"), dict):
        found += given_causes(wired, told)
        found += input_causes(wired, plan, told, anew)
    if RULE in job.reasons:
        found.append(Cause(f"its rule in rules/{job.rule}.smk changed"))
    for file in listed_in(job.reasons.get(UPDATED, "")):
        found.append(Cause("the file … changed", file) if short(file) == file else Cause("its input … changed", file))
    if FILES in job.reasons and job.rule == "sample":
        found.append(Cause("files were added to its dataset or removed from it"))
    made = list(dict.fromkeys(short(file) for file in job.inputs if file in anew))
    if made:
        found.append(Cause(f"its input{'s' if len(made) > 1 else ''} {listing(made)} will be made anew"))
    return found or [Cause(remaining_cause(job))]


def remaining_cause(job: Planned) -> str:
    """What is left to say of a job that nothing else explains."""
    if INCOMPLETE in job.reasons:
        return "it was cut off, or nothing is known of how it was made"
    if FILES in job.reasons:
        return "it has other inputs than before"
    return "; ".join(job.reasons) or "Snakemake gives no reason"


def provenance_in(outputs: Sequence[Path]) -> dict[str, Any]:
    """What the first table or page among files carries of its making; empty where there is none, or none of ours."""
    tables = [output for output in outputs if output.suffix in (".parquet", ".html")]
    try:
        return carried(tables[0]) if tables else {}
    except TableError:
        return {}


def changed_params(text: str) -> tuple[list[Any], list[Any]]:
    """The values that only the earlier run, and only the coming one, has among the params of a rule."""
    match = re.search(r"before: (.*) now: (.*)$", text.strip())
    if match is None:
        return [], []
    before, now = ([] if "<nothing exclusive>" in side else list(literal_eval(f"[{side}]")) for side in match.groups())
    return before, now


def options_in(params: Sequence[Any]) -> dict[str, Any] | None:
    """The options among the params of a rule, which are JSON."""
    return next((json.loads(each) for each in params if str(each).startswith("{")), None)


def option_causes(job: Planned, plan: Plan, told: Mapping[str, Any], before: Sequence[Any]) -> Iterator[str]:
    """Options that differ between what stands and the study."""
    old = told.get("options", options_in(before))
    if old is not None:
        new = json.loads(plan.options(job.rule, job.who if job.rule in TRAINED_BY else None))
        kind = kind_of(job.outputs[0])
        yield from (option_cause(path, was, became, kind) for path, was, became in changed_options(old, new))


def given_causes(wired: Job, told: Mapping[str, Any]) -> Iterator[Cause]:
    """Other numbers that differ between what stands and the study."""
    was, became = told.get("rows"), wired.given.get("rows")
    if was != became:
        yield Cause(f"{was} of its images are explained in the table and {became} in the study")
    had, has = (of.get("files", "").rpartition(",")[0] for of in (told, wired.given))
    if had != has:
        yield Cause(f"its dataset had {had or 'no files'} and has {has or 'none'}")


def input_causes(wired: Job, plan: Plan, told: Mapping[str, Any], anew: set[str]) -> Iterator[Cause]:
    """Tables and networks that are others now than those that what stands was made from, and not made in this run."""

    def stand(files: Sequence[str]) -> bool:
        return anew.isdisjoint(files) and all(Path(file).exists() for file in files)

    for table, parts in wired.inputs.items():
        if parts and stand(parts) and told["inputs"].get(table) != digest_of(parts):
            yield Cause("it was made from other tables of …", table)
    standing = [name for name in wired.networks if stand([plan.identity(name)])]
    for name, identity in read_weights(map(plan.identity, standing)).items():
        if told["weights"].get(name) != identity:
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


def code_causes(job: Planned, plan: Plan, told: Mapping[str, Any], before: Sequence[Any]) -> list[Cause]:
    """Which modules changed since the job that made what stands noted its own."""
    if job.rule in TRAINED_BY:  # code is no reason to train again
        return []
    noted = noted_modules(plan, job.outputs[0])
    found = [] if noted is None else changed_modules(noted, module_digests(plan.modules(job.rule)))
    if "code" in told:
        changed = told["code"] != plan.code(job.rule)
    else:
        changed = bool(found) or any(re.fullmatch(r"[0-9a-f]{64}", str(value)) for value in before)
    if not changed:
        return []
    by_template = job.rule == "report" and noted is not None
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
