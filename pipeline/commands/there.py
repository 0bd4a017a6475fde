"""What of a study is there already: tables that stand, and rows that the row store keeps."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow
import pyarrow.parquet

from pipeline.commands.needed import Needed, needed_by, read_identity
from pipeline.rowfiles import KEY_COLUMNS
from pipeline.study.estimate import Passes, Work
from pipeline.study.plan import Plan

RowName = tuple[str, str]  # of the row that is looked at, and the sha256 of its pixels


class There:
    """What of a study is there. Rows are looked up where its images are known, that is after they were sampled."""

    def __init__(self, plan: Plan):
        self.plan = plan
        root = Path(plan.store)
        self.kept = {(need.stage, need.network, need.method): keys(root, need) for need in needed_by(plan)}
        self.images = {shard: self.names(plan.part("images", "sample", shard), "image_id") for shard in plan.shards}
        changed = [plan.part("interventions", "intervene", shard) for shard in plan.shards]
        self.interventions = {name for path in changed for name in self.names(path, "row_id")}

    @property
    def images_known(self) -> bool:
        return any(self.images.values())

    def jobs(self, work: Work) -> int:
        """Jobs whose files all stand; whether they still hold is Snakemake's to say."""
        return sum(all(Path(file).exists() for file in files) for files in work.outputs)

    def left(self, work: Work) -> Work:
        """What of a stage is not there: the jobs without files, and of their passes those of rows that are not kept."""
        waiting = [files for files in work.outputs if not all(Path(file).exists() for file in files)]
        share = len(waiting) / work.jobs if work.jobs else 0.0
        passes = [self.passes_left(work.stage, each, waiting, share) for each in work.passes]
        rows = work.rows
        if rows is not None:
            total = sum(each.rows for each in work.passes)
            rows = round(rows * (sum(each.rows for each in passes) / total if total else share))
        return replace(work, outputs=waiting, rows=rows, passes=passes, table_bytes=work.table_bytes * share)

    def passes_left(self, stage: str, passes: Passes, waiting: list[list[str]], share: float) -> Passes:
        """The passes of the rows that no table that stands has, and the store does not keep."""
        if stage == "saliency":
            own = set(self.plan.maps_of(passes.network))
            share = sum(files[0] in own for files in waiting) / len(own) if own else 0.0
        elif stage == "score_saliency":
            share = float([self.plan.part("scores", f"score_saliency/{passes.network}", "000")] in waiting)
        kept = len(self.kept.get((stage, passes.network, passes.method), frozenset()) & self.looked_at(stage))
        rows = min(round(passes.rows * share), max(0, passes.rows - kept))
        part = rows / passes.rows if passes.rows else share
        return replace(
            passes,
            rows=rows,
            forward=round(passes.forward * part),
            with_backward=round(passes.with_backward * part),
            store_bytes=passes.store_bytes * part,
        )

    def looked_at(self, stage: str) -> set[RowName]:
        """The rows of the study, as far as they are known, that a network looks at in a stage."""
        if stage == "saliency":
            return {
                name for shard in self.plan.shards for name in self.images[shard][: self.plan.explained_rows(shard)]
            }
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


def keys(root: Path, need: Needed) -> frozenset[RowName]:
    """The rows that the store keeps under an identity, whatever their target and sample."""
    if not need.known:
        return frozenset()
    found: set[RowName] = set()
    for folder in root.glob(f"{need.stage}/{need.algorithm}-*"):
        identity = read_identity(folder)
        if identity is not None and need.is_kept_in(identity):
            for path in folder.glob("*.parquet"):
                found.update(names_in(path))
    return frozenset(found)


def names_in(path: Path) -> Iterator[RowName]:
    """The keys in a file of the store; none of one that is damaged or was merged meanwhile."""
    try:
        table = pyarrow.parquet.ParquetFile(path).read(KEY_COLUMNS.names[:2])
    except (pyarrow.ArrowInvalid, OSError):
        return
    yield from zip(*(column.to_pylist() for column in table.columns), strict=True)
