"""Tell what a study takes before anything runs: jobs, rows, network evaluations, storage; and what of it is left."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pyarrow.parquet

from pipeline.commands.files import show_files
from pipeline.commands.needed import Needed, needed_by, read_identity
from pipeline.commands.others import files_of
from pipeline.commands.outdated import newer_files, outdated
from pipeline.commands.shown import in_bytes, show
from pipeline.rowfiles import KEY_COLUMNS
from pipeline.study import load_study
from pipeline.tables import SCHEMAS, read_table
from pipeline.workflow import stages
from pipeline.workflow.base import Job, Passes
from pipeline.workflow.fitting import check_methods
from pipeline.workflow.plan import UNKNOWN_SIDE, Plan

COLUMNS = ("stage", "jobs", "left", "rows", "left", "evaluations", "left", "with backward", "tables", "row store")
NONE = "-"

RowName = tuple[str, str]  # of the row that is looked at, and the sha256 of its pixels


def plan(study: str = "default") -> None:
    """Tell what a study will take, and what of it is left to do; nothing is computed.

    --study: its name, or the path of its file.
    """
    planned = Plan(load_study(study))
    check_methods(planned)
    left = Left(planned)
    lines = [each for stage in stages() for each in stage_lines(stage, list(planned.jobs(stage)), left)]
    total = line("total", list(planned.all_jobs()), left)
    show(f"Study {planned.study.study}", COLUMNS, [*lines, total], numbers=COLUMNS[1:])
    print("\n".join(notes(planned, left)))
    if wanted := files_of(study):
        print()
        show_files(wanted)


class Left:
    """What of a study is left: the jobs that `why` explains, without the rows that the row store keeps."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.jobs = outdated(plan)
        self.made = {output for job in self.jobs for output in job.outputs}
        self.looked_at = cache(self.rows_looked_at)
        root = Path(plan.store)
        self.kept = {(need.stage, need.kept.network, need.kept.method): keys(root, need) for need in needed_by(plan)}

    def waits(self, job: Job) -> bool:
        return not self.made.isdisjoint(job.outputs)

    def rows(self, job: Job, passes: Passes) -> int:
        """Rows of passes that are to be computed."""
        if not self.waits(job):
            return 0
        found = self.kept.get((job.stage.store, passes.network, passes.method), Counter())
        return max(0, passes.rows - sum(found[name] for name in self.looked_at(job))) if found else passes.rows

    def evaluations(self, job: Job, passes: Passes) -> int:
        if not passes.rows:
            return passes.evaluations * self.waits(job)
        return round(passes.evaluations * self.rows(job, passes) / passes.rows)

    def rows_of_table(self, job: Job) -> int:
        """Rows of its table that are to be computed; all of them where a job keeps none."""
        if not self.waits(job):
            return 0
        kept = sum(each.rows for each in job.takes.passes) if job.stage.store else 0
        share = sum(self.rows(job, each) for each in job.takes.passes) / kept if kept else 1.0
        return round(job.takes.rows * share)

    def rows_looked_at(self, job: Job) -> list[RowName]:
        """The rows that a job looks at, as far as the tables stand that have them."""
        found = []
        for table, parts in job.inputs.items():
            if "content" in SCHEMAS[table].names and self.made.isdisjoint(parts):
                name = "image_id" if "method" in SCHEMAS[table].names else "row_id"
                rows = read_table(parts, table, [name, "content", "status"]).to_pylist()
                whole = [(row[name], row["content"]) for row in rows if row["status"] == "ok"]
                found += whole[: job.given.get("rows")]
        return found


def keys(root: Path, need: Needed) -> Counter[RowName]:
    """How many rows of each image the store keeps under an identity, whatever their targets and samples."""
    found: Counter[RowName] = Counter()
    for folder in root.glob(f"{need.stage}/{need.kept.algorithm}-*") if need.known else []:
        identity = read_identity(folder)
        if identity is not None and need.is_kept_in(identity):
            for path in folder.glob("*.parquet"):
                found.update(names_in(path))
    return found


def names_in(path: Path) -> Iterator[RowName]:
    """The keys in a file of the store; none of one that is damaged or was merged meanwhile."""
    try:
        table = pyarrow.parquet.ParquetFile(path).read(KEY_COLUMNS.names[:2])
    except (pyarrow.ArrowInvalid, OSError):
        return
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def stage_lines(stage: str, jobs: Sequence[Job], left: Left) -> Iterator[list[str]]:
    """The line of a stage, and one for each method that it follows; none where it has no jobs."""
    if jobs:
        yield line(stage, jobs, left)
    asked = [(job, passes) for job in jobs for passes in job.takes.passes]
    for method in dict.fromkeys(passes.method for _, passes in asked if passes.method is not None):
        own = [(job, passes) for job, passes in asked if passes.method == method]
        rows = [f"{sum(each.rows for _, each in own):,}", f"{sum(left.rows(*each) for each in own):,}"]
        stored = sum(each.rows * each.row_bytes for _, each in own)
        yield [f"  {method}", "", "", *rows, *evaluation_cells(own, left), "", size(stored)]


def line(name: str, jobs: Sequence[Job], left: Left) -> list[str]:
    """What jobs take together, and what of it is left."""
    waiting, counted = list(filter(left.waits, jobs)), [job for job in jobs if job.takes.rows is not None]
    at_most = "" if all(job.takes.exact for job in jobs) else "< "
    rows = [sum(job.takes.rows for job in counted), sum(left.rows_of_table(job) for job in counted)]
    asked = [(job, passes) for job in jobs for passes in job.takes.passes]
    sizes = [sum(job.table_bytes for job in jobs), sum(job.store_bytes for job in jobs if job.stage.store)]
    told = [f"{at_most}{count:,}" for count in rows] if counted else [NONE, NONE]
    return [name, f"{len(jobs):,}", f"{len(waiting):,}", *told, *evaluation_cells(asked, left), *map(size, sizes)]


def evaluation_cells(asked: Sequence[tuple[Job, Passes]], left: Left) -> list[str]:
    """Network evaluations, those left, and how many of them all send gradients back."""
    evaluations, backward = (sum(getattr(each, name) for _, each in asked) for name in ("evaluations", "with_backward"))
    if not evaluations:
        return [NONE] * 3
    waiting = sum(left.evaluations(*each) for each in asked)
    return [f"{evaluations:,}", f"{waiting:,}", f"{backward:,}" if backward else NONE]


def size(count: float) -> str:
    return in_bytes(count) if count else NONE


def notes(planned: Plan, left: Left) -> Iterator[str]:
    """What a reader of the table must know."""
    evaluations = sum(left.evaluations(job, passes) for job in left.jobs for passes in job.takes.passes)
    yield f"Left: {len(left.jobs):,} jobs, {evaluations:,} network evaluations at most."
    yield "An evaluation is one image through one network; one with its backward pass counts once."
    if left.jobs:
        yield "`make why` tells why; rows of tables that are made anew count as left until those stand."
    if any(method.method == "dime" for method in planned.study.counterfactuals.values()):
        yield "DiME tries its scales in turn until the decision changes: it takes at most as many evaluations."
    if newer_files(planned, left.jobs):
        yield "Files of the dataset are newer than the images: if one is another, its rows are left, too."
    if not planned.study.dataset.size:
        yield f"The images have sizes of their own; {UNKNOWN_SIDE} x {UNKNOWN_SIDE} pixels are assumed."
