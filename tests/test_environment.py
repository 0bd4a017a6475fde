"""Where the workflow runs: the lock, the conda environment and the Snakemake profiles agree with pyproject.toml."""

import importlib.util
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from snakemake.cli import get_argument_parser

ROOT = Path(__file__).resolve().parents[1]
PROFILES = sorted((ROOT / "envs").glob("*/profile.yaml"))


@pytest.fixture(scope="module")
def conda():
    """The module envs/conda.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("conda_environment", ROOT / "envs" / "conda.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_conda_environment_is_what_make_lock_writes(conda):
    assert (ROOT / "envs" / "pipeline.yaml").read_text() == conda.environment()


def test_the_conda_environment_pins_every_direct_dependency(project):
    environment = yaml.safe_load((ROOT / "envs" / "pipeline.yaml").read_text())
    pins = [Requirement(line) for line in environment["dependencies"][-1]["pip"]]
    assert {pin.name for pin in pins} == {Requirement(line).name for line in project["project"]["dependencies"]}
    assert all(str(pin.specifier).startswith("==") for pin in pins)


def test_the_lock_pins_what_the_project_asks_for(conda, project):
    pins = conda.pinned()
    for line in [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]:
        wanted = Requirement(line)
        assert wanted.name in pins, f"{wanted.name} is not in requirements.lock; run `make lock`"
        assert wanted.specifier.contains(pins[wanted.name].removeprefix("==")), line


def test_the_lock_has_the_versions_of_torch_that_belong_together(conda):
    assert conda.pinned()["torch"] == "==2.15.0" and conda.pinned()["torchvision"] == "==0.29.2"


def test_there_is_a_profile_for_each_kind_of_machine():
    assert [path.parent.name for path in PROFILES] == ["gpu", "laptop", "slurm"]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_a_profile_has_options_that_snakemake_knows(path):
    parser = get_argument_parser()
    known = {option for action in parser._actions for option in action.option_strings}
    assert not [key for key in yaml.safe_load(path.read_text()) if f"--{key}" not in known]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_a_profile_recovers_from_a_killed_run_and_checks_tables_by_content(path):
    profile = yaml.safe_load(path.read_text())
    assert profile["rerun-incomplete"] and profile["show-failed-logs"]
    assert profile["max-checksum-file-size"] >= 100_000_000


@pytest.mark.parametrize(
    "path", [path for path in PROFILES if path.parent.name != "slurm"], ids=lambda p: p.parent.name
)
def test_one_machine_runs_one_job_on_its_card_at_a_time(path):
    assert yaml.safe_load(path.read_text())["resources"] == {"gpu": 1}
