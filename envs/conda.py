"""Write envs/pipeline.yaml, the conda environment of the rules, with the versions of requirements.lock."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ENVS = Path(__file__).parent
PYTHON = "3.12"


def pinned() -> dict[str, str]:
    """Versions that requirements.lock has for the environment's Python, by package."""
    python = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0"}
    lines = (line for line in (ENVS / "requirements.lock").read_text().splitlines() if "==" in line and line[0] != " ")
    pins = [Requirement(line) for line in lines if line[0] != "#"]
    return {pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(python)}


def environment() -> str:
    """The conda environment: Python, and every direct dependency at the version of the lock."""
    project = tomllib.loads((ENVS.parent / "pyproject.toml").read_text())["project"]
    names = sorted(Requirement(dependency).name for dependency in project["dependencies"])
    pins = pinned()
    lines = [
        "name: counterfactory",
        "channels:",
        "  - conda-forge",
        "dependencies:",
        f"  - python={PYTHON}",
        "  - pip",
        "  - pip:",
    ]
    return "\n".join([*lines, *(f"      - {name}{pins[name]}" for name in names)]) + "\n"


if __name__ == "__main__":
    (ENVS / "pipeline.yaml").write_text(environment())
