"""Reading the workflow: light, clean, and clear about a wrong study."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
study: tiny
dataset: {world: shapes, size: 32, rows: 3}
shard_rows: 2
classifiers: {mine: {onnx: mine.onnx, classes: [a, b]}}
"""


@pytest.fixture
def snakemake(tmp_path, preloaded):
    """Run Snakemake on a study in an empty folder; its caches go there too."""
    (tmp_path / "mine.onnx").write_bytes(b"weights")

    def run(study, *arguments, python=()):
        (tmp_path / "tiny.yaml").write_text(study)
        command = [sys.executable if python else preloaded.python, *python, "-m", "snakemake"]
        command += ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1"]
        environment = {**preloaded.environment(), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        return subprocess.run(
            [*command, *arguments, "--config", "study=tiny.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=environment,
            timeout=300,
        )

    return run


def test_a_dry_run_plans_every_job_imports_nothing_heavy_and_writes_nothing(snakemake, tmp_path):
    planned = snakemake(STUDY, "--dry-run", python=("-X", "importtime"))
    said = planned.stdout + planned.stderr
    assert planned.returncode == 0, said
    lines = [line.split() for line in said.splitlines()]
    counts = {line[0]: line[1] for line in lines if len(line) == 2 and line[0].isidentifier() and line[1].isdigit()}
    jobs = {"all": 1, "identify": 1, "sample": 1, "intervene": 2, "predict": 2, "score": 1, "metrics": 1, "report": 1}
    assert counts == {**{rule: str(count) for rule, count in jobs.items()}, "total": str(sum(jobs.values()))}
    imported = {line.split("|")[2].strip() for line in planned.stderr.splitlines() if line.startswith("import time:")}
    assert "pipeline.study" in imported
    assert not {
        name for name in imported if name.split(".")[0] in ("torch", "timm", "datasets", "sklearn", "matplotlib")
    }
    written = {path.name for path in tmp_path.iterdir()} - {".snakemake", "cache"}
    assert written == {"mine.onnx", "tiny.yaml"}


def test_the_workflow_follows_the_good_practices_that_snakemake_checks(snakemake):
    checked = snakemake(STUDY, "--lint")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "in a good condition" in checked.stdout + checked.stderr


def test_a_wrong_study_is_one_sentence_without_a_traceback(snakemake):
    refused = snakemake(STUDY.replace("size: 32", "size: 3"), "--dry-run")
    said = refused.stdout + refused.stderr
    sentence = "tiny.yaml: dataset.size: must be a whole number from 32 to 256, not 3."
    assert refused.returncode == 1 and said.count(sentence) == 1, said
    assert "Traceback" not in said and "pydantic" not in said


def test_missing_weights_are_named(snakemake):
    refused = snakemake(STUDY.replace("onnx: mine", "onnx: absent"), "--dry-run")
    said = refused.stdout + refused.stderr
    assert refused.returncode == 1 and "absent.onnx" in said and "Traceback" not in said
