"""What of a study is there already: tables that stand, and rows that the row store keeps."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet

from pipeline.commands.needed import Needed, needed_by, read_identity
from pipeline.commands.outdated import outdated
from pipeline.rowfiles import KEY_COLUMNS
from pipeline.study import EXPLAINING
from pipeline.study.estimate import Passes, Work
from pipeline.study.plan import Plan

RowName = tuple[str, str]  # of the row that is looked at, and the sha256 of its pixels


class There:
    """What of a study is there. Rows are looked up where its images are known, that is after they were sampled."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.outdated = outdated(plan)
        root = Path(plan.store)
        self.kept = {(need.stage, need.network, need.method): keys(root, need) for need in needed_by(plan)}
        self.images = {shard: self.names(plan.part("images", "sample", shard), "image_id") for shard in plan.shards}
        changed = [plan.part("interventions", "intervene", shard) for shard in plan.shards]
        self.interventions = {name for path in changed for name in self.names(path, "row_id")}
        self.counterfactuals = {name for path in plan.counterfactuals() for name in self.names(path, "image_id")}

    @property
    def images_known(self) -> bool:
        return any(self.images.values())

    def jobs(self, work: Work) -> int:
        """Jobs whose files all stand and follow from the study."""
        return sum(map(self.stands, work.outputs))

    def stands(self, files: list[str]) -> bool:
        return self.outdated.isdisjoint(files) and all(Path(file).exists() for file in files)

    def left(self, work: Work) -> Work:
        """What of a stage is not there: the jobs without files, and of their passes those of rows that are not kept."""
        waiting = [files for files in work.outputs if not self.stands(files)]
        share = len(waiting) / work.jobs if work.jobs else 0.0
        parts = {
            (each.network, each.method): self.part_left(work.stage, each, waiting, share)
            for each in work.passes
            if each.beside is None
        }
        passes = [only(each, parts[each.beside or each.network, each.method]) for each in work.passes]
        rows = work.rows
        if rows is not None:
            total = sum(each.rows for each in work.passes)
            rows = round(rows * (sum(each.rows for each in passes) / total if total else share))
        return replace(work, outputs=waiting, rows=rows, passes=passes, table_bytes=work.table_bytes * share)

    def part_left(self, stage: str, passes: Passes, waiting: list[list[str]], share: float) -> float:
        """The share of passes that are of rows that no table that stands has, and the store does not keep."""
        if stage in EXPLAINING:
            own = set(self.explanations(stage, passes.network))
            share = sum(files[0] in own for files in waiting) / len(own) if own else 0.0
        elif stage in ("score_saliency", "score_counterfactuals"):
            share = float([self.plan.scores_part(stage, passes.network)] in waiting)
        kept_by = "predict" if stage == "judge" else stage
        found = self.kept.get((kept_by, passes.network, passes.method), Counter())
        kept = sum(found[name] for name in self.looked_at(stage))
        rows = min(round(passes.rows * share), max(0, passes.rows - kept))
        return rows / passes.rows if passes.rows else share

    def explanations(self, stage: str, classifier: str) -> list[str]:
        """The parts of the table of a stage that explains a classifier."""
        of_stage = {"saliency": self.plan.maps_of, "counterfactuals": self.plan.counterfactuals_of}
        return of_stage[stage](classifier)

    def looked_at(self, stage: str) -> set[RowName]:
        """The rows of the study, as far as they are known, that a network looks at in a stage."""
        if stage in EXPLAINING:
            return {
                name for shard in self.plan.shards for name in self.images[shard][: self.plan.explained_rows(shard)]
            }
        if stage == "judge":
            return self.counterfactuals
        return {name for shard in self.plan.shards for name in self.images[shard]} | self.interventions

    @staticmethod
    def names(path: str, column: str) -> list[RowName]:
        """The whole rows of a part, in its order; none of one that is not there."""
        if not Path(path).exists():
            return []
        table = pyarrow.parquet.ParquetFile(path).read([column, "content", "status"])
        return [
            (name, content)
            for name, content, status in zip(*(column.to_pylist() for column in table.columns), strict=True)
            if status == "ok"
        ]


def only(passes: Passes, part: float) -> Passes:
    """A part of passes."""
    return replace(
        passes,
        rows=round(passes.rows * part),
        forward=round(passes.forward * part),
        with_backward=round(passes.with_backward * part),
        again=round(passes.again * part),
        store_bytes=passes.store_bytes * part,
    )


def keys(root: Path, need: Needed) -> Counter[RowName]:
    """How many rows of each image the store keeps under an identity, whatever their targets and samples."""
    found: Counter[RowName] = Counter()
    if not need.known:
        return found
    for folder in root.glob(f"{need.stage}/{need.algorithm}-*"):
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
