"""The package in another folder, where it can be edited."""

import shutil
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "pipeline"
HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*", "*.fingerprint.*")  # by other processes that test


def copy_package(folder: Path) -> None:
    """Copy the package to a folder, with the bytecode and the fingerprints that are kept beside its modules."""
    shutil.copytree(PACKAGE, folder / "pipeline", ignore=HALF_WRITTEN)
