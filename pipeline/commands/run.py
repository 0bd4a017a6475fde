"""Run a study, from wherever an earlier run of the folder ended, however it ended."""

import shutil
import sys
from pathlib import Path

import yaml

from pipeline.commands.holder import RESULTS, await_jobs, hold, is_held
from pipeline.commands.leftovers import stray_parts
from pipeline.commands.outdated import outdated
from pipeline.commands.records import SNAKEMAKE, make_these_anew, note_path
from pipeline.commands.slurm import cancel_orphans
from pipeline.commands.workflow import become_snakemake
from pipeline.errors import UserError, nearest
from pipeline.study import load_study
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from pipeline.workflow.trained import TRAINED, TRAINED_GENERATORS, TRAINED_INFILLS, trained_files

PROFILES = Path("envs")


def run(
    study: str = "default",
    profile: str = "laptop",
    target: list[str] | None = None,
    train: list[str] | None = None,
    dry_run: bool = False,
) -> None:
    """Compute what is missing of a study, or of the targets alone; with --dry-run, only tell what would run.

    --train: a recipe of the section `training` to follow, as a target.
    """
    executor(profile)
    plan = Plan(load_study(study))
    target = [*(target or []), *(trained_files(plan.study, *train) if train else [])]
    if not dry_run:
        take_over(plan, study, profile)
    elif not is_held(RESULTS):
        mark(plan)
    go_on(study, profile, target, dry_run)


def take_over(plan: Plan, study: str, profile: str) -> None:
    """Hold the results folder and clear away what is none of the study: jobs and lock of a killed run, stray parts."""
    last = hold(RESULTS, study, executor(profile))
    if "slurm" in (executor(profile), last.executor if last else "") and (cancelled := cancel_orphans(Path.cwd())):
        print(f"Cancelled SLURM jobs of an earlier run: {', '.join(cancelled)}", file=sys.stderr)
    await_jobs(RESULTS)
    shutil.rmtree(SNAKEMAKE / "locks", ignore_errors=True)
    for part in stray_parts(plan):
        part.unlink()
    mark(plan)


def mark(plan: Plan) -> None:
    """Have files made anew that do not follow from the study: Snakemake may take them for good."""
    make_these_anew(file for job in outdated(plan) for file in job.outputs if Path(file).exists())


def go_on(study: str, profile: str, targets: list[str], dry_run: bool = False) -> None:
    """Become Snakemake, which holds the folder from here on: its signals and exit status are those of the run."""
    arguments = [*targets, *(["--dry-run"] if dry_run else [])]
    if trained_elsewhere():
        arguments += ["--consider-ancient", *(f"{name}=images" for name, stage in stages().items() if stage.trains)]
    become_snakemake(study, profile, arguments)


def trained_elsewhere() -> bool:
    """Whether there are trained weights that Snakemake has no record of: they stand, however old their images look."""
    records = SNAKEMAKE / "metadata"
    return any(
        not records.exists() or not note_path(records, str(file)).exists()
        for folder in (TRAINED, TRAINED_GENERATORS, TRAINED_INFILLS)
        for file in folder.glob("*.safetensors")
    )


def executor(profile: str) -> str:
    """What a profile of `envs/` runs its jobs with: local, slurm or the like. Raises UserError where there is none."""
    path = PROFILES / profile / "profile.yaml"
    if not path.exists():
        there = sorted(each.parent.name for each in PROFILES.glob("*/profile.yaml"))
        close = nearest(profile, there)
        hint = f"did you mean {close}?" if close else f"there are {', '.join(there) or 'none'}."
        raise UserError(f"there is no profile {profile} in {PROFILES}/; {hint}")
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("executor", "local")
