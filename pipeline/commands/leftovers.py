"""What Snakemake does not see: parts of tables that a study no longer has."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.workflow.plan import Plan


def stray_parts(plan: Plan) -> Iterator[Path]:
    """Parts of the study's tables from when it had more images, shards or networks; nobody should read them as its."""
    expected = {Path(part) for part in plan.outputs()}
    for path in sorted((plan.folder / "tables").rglob("part-*.parquet")):
        if path not in expected:
            yield path
