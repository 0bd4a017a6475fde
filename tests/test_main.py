"""Every stage is a command: python -m pipeline <stage>."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import repeat_options
from pipeline.workflow import stages

ROOT = Path(__file__).resolve().parents[1]


def run(*arguments, python=()):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *python, "-m", "pipeline", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def modules(import_times):
    """First parts of the names of all modules that were imported, from the output of -X importtime."""
    lines = (line.split("|") for line in import_times.splitlines() if line.startswith("import time:"))
    return {line[2].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(("given", "held"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_that_wait_sleep_unless_a_person_says_otherwise(given, held):
    without = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    asked = [sys.executable, "-c", "import os, pipeline.__main__; print(os.environ['OMP_WAIT_POLICY'])"]
    told = subprocess.run(asked, capture_output=True, text=True, env={**without, **given}, cwd=ROOT, timeout=60)
    assert told.stdout.strip() == held


def test_help_lists_the_stages_and_imports_no_stage():
    shown = run("--help", python=("-X", "importtime"))
    assert shown.returncode == 0
    text = " ".join(shown.stdout.split()).replace("- ", "-")  # where a line ends
    assert all(f"{name} {stage.says}" in text for name, stage in stages().items())
    imported = modules(shown.stderr)
    assert "typer" in imported and not imported & {"torch", "timm", "pyarrow", "sklearn"}


def test_the_help_of_a_stage_lists_its_options():
    shown = run("sample", "--help")
    assert shown.returncode == 0
    assert all(f"--{option}" in shown.stdout for option in ("options", "code", "images"))


def test_an_unknown_stage_is_named_without_a_traceback():
    refused = run("smaple")
    assert refused.returncode == 2
    assert refused.stderr == "there is no command or stage smaple; did you mean sample?\n"


def test_a_missing_option_is_named_without_a_traceback():
    refused = run("identify", "--options", "{}")
    assert refused.returncode == 2
    assert "--identities" in refused.stderr and "Traceback" not in refused.stderr


def test_a_mistake_of_the_person_is_one_sentence_and_exit_code_2(tmp_path):
    entries = {"networks": {"mine": {"file": str(tmp_path / "absent.safetensors")}}, "generators": {}, "fillers": {}}
    options = json.dumps({**entries, "files": {}})
    refused = run("identify", "--options", options, "--identities", str(tmp_path / "mine.json"))
    # A rule keeps standard error as its log, so the person at the terminal is told on standard output as well.
    assert (refused.returncode, refused.stdout) == (2, refused.stderr)
    (sentence,) = refused.stderr.splitlines()
    assert sentence.startswith("classifier 'mine': ") and "absent.safetensors does not exist" in sentence
    assert not list(tmp_path.iterdir())


def test_a_stage_that_succeeds_says_nothing_and_writes_its_file(tmp_path):
    (tmp_path / "weights.onnx").write_bytes(b"weights")
    names = ["one", "two"]
    entry = {"onnx": str(tmp_path / "weights.onnx"), "classes": ["a", "b"]}
    options = json.dumps({"networks": dict.fromkeys(names, entry), "generators": {}, "fillers": {}, "files": {}})
    files = [tmp_path / f"{name}.json" for name in names]
    done = run("identify", "--options", options, "--identities", *map(str, files))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files[0].read_text() == files[1].read_text()


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("sample --images a", "sample --images a"),
        ("sample --images a b c", "sample --images a --images b --images c"),
        ("sample --images a b --code 1", "sample --images a --images b --code 1"),
        ("sample --images --code 1", "sample --code 1"),
        ("sample --help", "sample --help"),
        ("--help", "--help"),
        ("sample", "sample"),
    ],
)
def test_an_option_with_several_values_is_repeated_for_each(written, spelled):
    assert repeat_options(written.split()) == spelled.split()


def test_a_value_that_looks_like_a_list_stays_one_value():
    options = '{"a": [1, 2], "b": "--c"}'
    assert repeat_options(["sample", "--options", options]) == ["sample", "--options", options]


def test_freed_memory_stays_with_the_process():
    program = """
import resource
from pipeline.__main__ import keep_freed_memory
keep_freed_memory()
bytearray(200_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(200_000_000)
assert resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before < 1000
"""
    subprocess.run([sys.executable, "-c", program], check=True)
