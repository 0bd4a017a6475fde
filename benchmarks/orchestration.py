"""How much of a study's time is not computing: Snakemake, process start, imports, model loading, tables.

    python -m benchmarks.orchestration [study] [--profile laptop]

Runs the study in an empty copy of the project and adds up the `costs` that its jobs write. Needs the environment of
`make run`. Prints seconds and shares of the wall time; jobs that run side by side add up to more than the wall time.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import polars

PROJECT = Path(__file__).resolve().parents[1]
PARTS = ("Snakefile", "config.yaml", "rules", "envs", "studies", "pipeline", "data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", nargs="?", default="default")
    parser.add_argument("--profile", default="laptop")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        seconds = run(Path(folder), arguments.study, arguments.profile)
        jobs = polars.concat(
            [polars.read_parquet(path) for path in Path(folder).glob("results/studies/*/costs/*.parquet")]
        )
    print_breakdown(jobs, seconds)


def run(folder: Path, study: str, profile: str) -> float:
    """Run a study from nothing in a copy of the project; returns its wall time in seconds."""
    for part in PARTS:
        source = PROJECT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / part)
    start = time.monotonic()
    command = ["snakemake", "--profile", f"envs/{profile}", "--config", f"study={study}"]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def print_breakdown(jobs: polars.DataFrame, wall: float) -> None:
    """Print the seconds of each job by cause, and the share of the wall time that was not computing."""
    totals: dict[str, float] = {}
    for job in jobs.sort("part").iter_rows(named=True):
        causes = {
            "start": job["startup_seconds"] or 0.0,
            **{one["key"]: one["value"] for one in job["seconds_by_cause"]},
        }
        print(f"{job['part']:45} " + "  ".join(f"{cause} {value:5.1f}" for cause, value in causes.items()))
        for cause, value in causes.items():
            totals[cause] = totals.get(cause, 0.0) + value
    totals["Snakemake and processes without costs"] = wall - sum(totals.values())
    print(f"\nwall time {wall:.1f} s")
    for cause, value in totals.items():
        print(f"{cause:45} {value:6.1f} s  {value / wall:6.1%}")
    print(f"{'everything but compute':45} {wall - totals['compute']:6.1f} s  {1 - totals['compute'] / wall:6.1%}")


if __name__ == "__main__":
    sys.exit(main())
