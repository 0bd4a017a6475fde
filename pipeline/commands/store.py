"""List what the row store keeps, by study, and prune what no study needs."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from pipeline.commands.holder import await_jobs, hold, read_holder
from pipeline.commands.needed import Needed, keeping, needed_by, read_identity
from pipeline.commands.shown import in_bytes, show
from pipeline.rows import IDENTITY
from pipeline.study import DEFAULT, STUDIES, load_study, study_path
from pipeline.workflow.plan import RESULTS, Plan

STORES = RESULTS / "rows"
PRUNED = ".pruned-"  # a folder that is about to go has this before its name, so that nobody finds half of it


@dataclass(frozen=True)
class Store:
    """One folder of the row store.

    identity: the content of its identity.json, None where that cannot be read. rows: in all its files, a row that was
    stored twice counts twice. written: when its newest file was, in seconds since 1970.
    """

    folder: Path
    identity: dict[str, Any] | None
    rows: int
    size: int
    written: float

    @property
    def unknown(self) -> str | None:
        """Why nobody can tell who needs the store, if so."""
        if self.identity is None:
            return f"{IDENTITY} cannot be read"
        stage = next(
            (each for each in (self.folder.parent.name, self.identity["stage"]) if each not in keeping()), None
        )
        return f"this version keeps no rows of {stage}" if stage else None

    @property
    def name(self) -> str:
        return f"{self.folder.parent.name}/{self.folder.name}"


def store(prune: bool = False, dry_run: bool = False, study: list[str] | None = None) -> None:
    """List what the row store keeps, and which studies need it; with --prune, delete the stores that none needs.

    Studies are config.yaml, those of the folder studies, and those given by --study (a name, or the path of a file).
    --dry-run: with --prune, tell what would be deleted, and delete nothing. Pruning is by store: of one that some study
    needs, all rows stay, also those of images that no study has any more. A store of a stage that this version does not
    know stays, and so does one whose identity.json cannot be read. Needed is what the next run would look up: rows of
    options, code, weights or libraries that have changed since are not.
    """
    planned = plans(study or [])
    needs = {name: list(needed_by(plan)) for name, plan in planned.items()}
    stores = read_stores(STORES)
    if not stores:
        print(f"The row store {STORES} is empty.")
        return
    needed = {each.name: users(each, needs) for each in stores}
    show_stores(stores, needed)
    show_unknown(needs)
    show_strangers({plan.study.study for plan in planned.values()})
    unused = [each for each in stores if each.unknown is None and not needed[each.name]]
    told = f"{len(unused)} of {len(stores)} stores, {in_bytes(sum(each.size for each in unused))}"
    if not prune:
        print(f"No study needs {told}" + ("; `make store PRUNE=1` deletes them." if unused else "."))
    elif dry_run:
        print(f"Would delete {told}.")
    else:
        be_alone()
        sweep(STORES)
        for each in unused:
            delete(each.folder)
        print(f"Deleted {told}.")


def plans(given: Sequence[str]) -> dict[str, Plan]:
    """The plans of all studies by where they come from. Raises UserError for one that cannot be read."""
    files = [path for path in [DEFAULT, *sorted(STUDIES.glob("*.yaml"))] if path.exists()]
    files += [study_path(name) for name in given]
    return {str(path): Plan(load_study(str(path))) for path in dict.fromkeys(files)}


def read_stores(root: Path) -> list[Store]:
    """All stores below `root`, by stage and name."""
    folders = sorted(path for path in root.glob("*/*") if path.is_dir() and not path.name.startswith("."))
    return [read_store(folder) for folder in folders]


def read_store(folder: Path) -> Store:
    files = [path for path in folder.iterdir() if path.is_file()]
    rows = sum(rows_in(path) for path in files if path.suffix == ".parquet")
    stats = [path.stat() for path in files]
    written = max((status.st_mtime for status in stats), default=folder.stat().st_mtime)
    return Store(folder, read_identity(folder), rows, sum(status.st_size for status in stats), written)


def rows_in(path: Path) -> int:
    """Rows of a file by its footer; none of one that is damaged, which the next run removes."""
    try:
        return pyarrow.parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowInvalid, OSError):
        return 0


def users(kept: Store, needs: Mapping[str, Sequence[Needed]]) -> list[tuple[str, Needed]]:
    """The studies that need a store, each with its first need of it."""
    if kept.identity is None:
        return []
    found = (
        (study, [need for need in of_study if need.is_kept_in(kept.identity)]) for study, of_study in needs.items()
    )
    return [(study, matching[0]) for study, matching in found if matching]


def show_stores(stores: Sequence[Store], needed: Mapping[str, Sequence[tuple[str, Needed]]]) -> None:
    rows = []
    for each in stores:
        using = sorted(needed[each.name], key=lambda use: not use[1].known)
        kept = using[0][1].kept if using and using[0][1].known else None
        what = " ".join(filter(None, (kept.network, kept.method))) if kept else ""
        certain = [name for name, need in using if need.known]
        studies = ", ".join(certain or [f"{name} (perhaps)" for name, _ in using])
        if each.unknown:
            studies = f"not known: {each.unknown}; it is never deleted"
        written = datetime.fromtimestamp(each.written).strftime("%Y-%m-%d %H:%M")
        rows.append([each.name, what, f"{each.rows:,}", in_bytes(each.size), written, studies or "no study"])
    total = sum(each.size for each in stores)
    rows.append(["total", "", f"{sum(each.rows for each in stores):,}", in_bytes(total), "", ""])
    columns = ["store", "of", "rows", "size", "last written", "needed by"]
    show(f"Row store {STORES}", columns, rows, numbers=("rows", "size"))


def show_unknown(needs: Mapping[str, Sequence[Needed]]) -> None:
    """Say which networks could not be identified."""
    for study, of_study in needs.items():
        unknown = dict.fromkeys(need.kept.network for need in of_study if not need.known)
        if unknown:
            print(
                f"{study}: the files of {', '.join(unknown)} are not there, so its needs are not known; what could be"
                " its is kept."
            )


def show_strangers(known: set[str]) -> None:
    """Say which results belong to a study that was not looked at."""
    strangers = sorted(path.name for path in (RESULTS / "studies").glob("*") if path.name not in known)
    if strangers:
        print(
            f"There are results of {', '.join(strangers)}, but no such study in the repository: to keep its rows, give"
            " the path of its file with --study."
        )


def be_alone() -> None:
    """Hold the results, so that no run begins, and wait for the jobs of earlier ones: they may use any store.

    Raises UserError while a run holds them.
    """
    last = read_holder(RESULTS)
    hold(RESULTS, "(none: make store)", last.executor if last else "")  # the next run looks for its jobs
    await_jobs(RESULTS)


def delete(folder: Path) -> None:
    """Delete a store; a job that comes meanwhile finds all of it or nothing."""
    shutil.rmtree(folder.rename(folder.with_name(f"{PRUNED}{folder.name}")))


def sweep(root: Path) -> None:
    """Remove what a killed pruning left behind."""
    for folder in root.glob(f"*/{PRUNED}*"):
        shutil.rmtree(folder)
