"""What a person names reaches commands as it is: nothing in the name of a study is ever run."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from snakemake_interface_executor_plugins.utils import format_cli_arg

from pipeline.errors import UserError
from pipeline.study import study_path

ROOT = Path(__file__).resolve().parents[2]
ODD = ["$(touch run)", "`touch run`", "it's", 'a "quoted" one', "a; touch run", "$(shell touch run)", "a\nb", "a\\b"]
PLAIN = "my studies/ärzte (2nd), x=1+1@home_a-b.yaml"


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_a_shell_could_run_is_refused(name):
    for path in (name, f"studies/{name}.yaml"):
        with pytest.raises(UserError, match="names go through the shell of a cluster; rename it to letters, digits"):
            study_path(path)


def test_every_other_name_reaches_the_job_of_a_cluster_as_it_is():
    assert study_path(PLAIN) == Path(PLAIN)
    # How Snakemake tells a job its study, and how the executor for SLURM hands that to the shell that calls sbatch.
    told = format_cli_arg("--config", [f"study={PLAIN}"]).replace('"', '\\"')
    submitted = subprocess.check_output(["sh", "-c", f'printf %s "printf %s,%s {told}"'], text=True)
    assert subprocess.check_output(["sh", "-c", submitted], text=True) == f"--config,study={PLAIN}"


@pytest.mark.parametrize("study", ["a b.yaml", *ODD[:6]])
@pytest.mark.parametrize("as_variable", [True, False], ids=["environment", "argument"])
def test_make_hands_on_a_name_as_it_is(study, as_variable, tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "requirements.lock").touch()
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".venv" / "ready").touch()
    os.utime(tmp_path / "envs" / "requirements.lock", (0, 0))
    outside = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    asked = subprocess.run(
        ["make", "run", *([] if as_variable else [f"STUDY={study}"])],
        cwd=tmp_path,
        env={**outside, "STUDY": study} if as_variable else outside,
        capture_output=True,
        text=True,
    )
    assert asked.stdout == f"-m|pipeline|run|--study|{study}|--profile|laptop|", asked.stderr
    assert not (tmp_path / "run").exists()
