"""Where the workflow runs: lock and conda environment agree with pyproject.toml, profiles and rules with each other."""

import importlib.util
import tomllib
from itertools import takewhile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from snakemake.cli import get_argument_parser

from pipeline.fingerprint import module_digests
from pipeline.workflow import stages

ROOT = Path(__file__).resolve().parents[1]
PROFILES = sorted((ROOT / "envs").glob("*/profile.yaml"))
SLURM = ROOT / "envs" / "slurm" / "profile.yaml"
RULES = {path.stem: path.read_text() for path in (ROOT / "rules").glob("*.smk") if path.stem in stages()}
MIN_JOB_AGE = 300  # seconds for which a SLURM controller remembers a job, where its site says nothing


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


@pytest.mark.parametrize("path", [path for path in PROFILES if path != SLURM], ids=lambda p: p.parent.name)
def test_one_machine_runs_one_job_on_its_card_at_a_time(path):
    assert yaml.safe_load(path.read_text())["resources"] == {"gpu": 1}


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_no_profile_groups_jobs_or_makes_arrays_of_them(path):
    assert not {"groups", "group-components", "slurm-array-jobs"} & set(yaml.safe_load(path.read_text()))


def test_the_slurm_profile_needs_no_accounting_and_waits_for_files_of_other_machines():
    profile = yaml.safe_load(SLURM.read_text())
    assert profile["executor"] == "slurm" and profile["slurm-status-command"] == "squeue"
    assert 3 * profile["slurm-init-seconds-before-status-checks"] <= MIN_JOB_AGE
    assert profile["latency-wait"] >= 60 and profile["retries"] >= 1


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)
def test_a_profile_shows_the_error_and_the_log_of_a_failed_job(path):
    profile = yaml.safe_load(path.read_text())
    assert profile["show-failed-logs"] and not {"rules", "all"} & set(profile["quiet"])


def test_the_slurm_profile_gives_every_job_memory_and_time_and_no_card_and_names_no_site():
    asked = yaml.safe_load(SLURM.read_text())["default-resources"]
    assert asked["gpu"] == 0 and asked["mem_mb"] > 0 and asked["runtime"] > 0
    assert set(asked) == {"gpu", "mem_mb", "runtime"}


def test_the_slurm_profile_shows_a_site_how_to_ask_for_the_cards_of_every_rule_that_has_one():
    below = SLURM.read_text().partition("# set-resources:\n")[2].splitlines()
    shown = yaml.safe_load("\n".join(line[1:] for line in takewhile(lambda line: line.startswith("#   "), below)))
    assert set(shown) == {rule for rule, text in RULES.items() if "gpu=" in text}
    assert all(asked["gpu"] == 0 and asked["gres"] == "gpu:1" for asked in shown.values())


def test_a_second_profile_replaces_a_block_of_the_first_and_keeps_what_it_does_not_name(tmp_path):
    site = tmp_path / "profile.yaml"
    site.write_text("default-resources: {slurm_partition: short, mem_mb: 500}\n")
    options = get_argument_parser([str(SLURM.parent), str(site)]).parse_args([])
    asked = set(options.default_resources)
    assert {"slurm_partition", "mem_mb"} <= asked and not {"gpu", "runtime"} & asked
    assert options.executor == "slurm" and options.latency_wait == 60


@pytest.mark.parametrize("stage", stages())
def test_a_rule_asks_for_its_own_memory_and_time(stage):
    assert f'mem_mb=memory("{stage}")' in RULES[stage] and f'runtime=runtime("{stage}")' in RULES[stage]


@pytest.mark.parametrize("stage", stages())
def test_a_rule_asks_for_a_card_where_its_stage_uses_one(stage):
    reached = (name.split(".") for name in module_digests([f"pipeline.stages.{stage}"]))
    asked = "predict" if stage == "judge" else stage  # which asks networks as `predict` does
    others = {"common", "keeping", *stages()} - {asked}
    own = [name for name in reached if name[1:2] == ["stages"] and name[2:] and name[2] not in others]
    text = "".join(ROOT.joinpath(*name).with_suffix(".py").read_text() for name in own)
    assert ("gpu=" in RULES[stage]) == any(call in text for call in ("pick_device()", "account.place(", "keep("))
