"""What Snakemake does not see: parts of tables that a study no longer has, and files swapped for older ones."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.study.plan import Plan


def stray_parts(plan: Plan) -> Iterator[Path]:
    """Parts of the study's tables from when it had more images, shards or networks; nobody should read them as its."""
    expected = {Path(part) for part in plan.table_parts()}
    for path in sorted((plan.folder / "tables").rglob("part-*.parquet")):
        if path not in expected:
            yield path


def swapped_weights(plan: Plan) -> Iterator[str]:
    """Identities of networks whose files came to their place after they were hashed, though they look older.

    Unpacking or moving keeps the date of a file, by which Snakemake would take it for the one that was there before.
    """
    for network in plan.networks:
        identity = Path(plan.identity(network))
        if not identity.exists():
            continue
        hashed = identity.stat().st_mtime
        files = [Path(file).stat() for file in plan.weights(network) if Path(file).exists()]
        if any(file.st_mtime <= hashed < file.st_ctime for file in files):
            yield str(identity)
