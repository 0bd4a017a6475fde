"""What the row store keeps, which studies need it, and what pruning deletes."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from pipeline.commands.holder import HELD, RUN, Holder, read_holder
from pipeline.commands.needed import keeping, needed_by, network_of
from pipeline.commands.store import STORES, read_stores, store
from pipeline.errors import UserError
from tests.commands.stages_in_process import STUDY, run_stages, working_in, write_tiny

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A folder where the study `tiny` has been computed."""
    with working_in(tmp_path_factory.mktemp("computed")) as folder:
        run_stages(write_tiny())
    return folder


@pytest.fixture
def folder(computed, tmp_path, monkeypatch):
    """A copy of it to work in; what a command sets for its own process ends with the test."""
    shutil.copytree(computed, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv(RUN, "none")
    return tmp_path / "here"


@pytest.fixture
def listed(folder, capsys):
    """Call the command and return what it printed, line by line."""

    def call(**options):
        store(**options)
        return capsys.readouterr().out.splitlines()

    return call


def stores():
    return [each.name for each in read_stores(STORES)]


def line_of(lines, word):
    (line,) = [line for line in lines if word in line]
    return line.split()


def remove_method(name):
    """Write the study anew without one of its methods."""
    return write_tiny(saliency={key: value for key, value in STUDY["saliency"].items() if key != name})


def test_every_store_of_a_run_is_listed_with_its_rows_and_the_study_that_needs_it(listed):
    lines = listed()
    # 5 images of six shapes that are there or not: 6 interventions each.
    for start, of, rows in [
        ("predict/logits-", ["small"], "35"),
        ("saliency/fido-", ["small", "fido"], "5"),
        ("saliency/random-", ["small", "random"], "5"),
        ("saliency/occlusion-", ["small", "occlusion"], "5"),
        ("counterfactuals/dvce-", ["small", "dvce"], "5"),
        ("counterfactuals/pgd-", ["small", "pgd"], "5"),
    ]:
        cells = line_of(lines, start)
        assert cells[1 : 2 + len(of)] == [*of, rows] and cells[-1] == "studies/tiny.yaml"
    assert line_of(lines, "total")[1] == "60"
    assert lines[-1] == "No study needs 0 of 6 stores, 0 B."


def test_what_a_study_needs_is_what_its_stages_have_stored(folder):
    needs = list(needed_by(write_tiny()))
    kept = read_stores(STORES)
    assert len(needs) == len(kept) == 6
    assert all(sum(need.is_kept_in(each.identity) for each in kept) == 1 for need in needs)


def test_pruning_deletes_what_no_study_needs_any_more_and_nothing_else(folder, listed):
    before = stores()
    remove_method("fido")
    assert line_of(listed(), "saliency/fido-")[-2:] == ["no", "study"]
    lines = listed(prune=True)
    assert lines[-1].startswith("Deleted 1 of 6 stores, ")
    assert stores() == [name for name in before if not name.startswith("saliency/fido-")]
    assert sorted(path.name for path in (folder / "results/rows/saliency").iterdir()) == [
        name.split("/")[1] for name in stores() if name.startswith("saliency/")
    ]


def test_a_study_that_is_given_by_its_name_is_listed_once(listed):
    assert " ".join(line_of(listed(study=["tiny"]), "predict/logits-")).count("tiny") == 1


def test_a_dry_run_of_pruning_tells_and_deletes_nothing(folder, listed):
    before = stores()
    remove_method("fido")
    assert listed(prune=True, dry_run=True)[-1].startswith("Would delete 1 of 6 stores, ")
    assert stores() == before


def test_the_command_line_takes_flags(folder):
    remove_method("fido")
    command = [sys.executable, "-m", "pipeline", "store", "--prune", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("Would delete 1 of 6 stores, ")


def test_a_study_elsewhere_keeps_its_rows_when_its_file_is_given(folder, listed):
    shutil.move("studies/tiny.yaml", "elsewhere.yaml")
    lines = listed(prune=True, study=["elsewhere.yaml"])
    assert lines[-1] == "Deleted 0 of 6 stores, 0 B."
    lines = listed()
    assert any(line.startswith("There are results of tiny, but no such study in the repository") for line in lines)
    assert lines[-1].startswith("No study needs 6 of 6 stores, ")


@pytest.mark.parametrize("content", ["{", "[]", '{"stage": "saliency"}', None], ids=["cut", "list", "lacking", "none"])
def test_a_store_that_does_not_say_what_it_is_is_listed_and_never_deleted(content, folder, listed):
    remove_method("fido")
    (path,) = Path("results/rows/saliency").glob("fido-*/identity.json")
    path.write_text(content) if content else path.unlink()
    lines = listed(prune=True)
    assert "identity.json cannot be read" in " ".join(line_of(lines, "saliency/fido-"))
    assert lines[-1] == "Deleted 0 of 6 stores, 0 B." and path.parent.exists()


def test_rows_of_a_stage_that_this_version_does_not_know_are_named_and_never_deleted(folder, listed):
    shutil.copytree("results/rows/saliency", "results/rows/dream")
    (theirs,) = Path("results/rows").glob("predict/logits-*")
    told = json.loads((theirs / "identity.json").read_text()) | {"stage": "generate"}
    shutil.copytree(theirs, theirs.with_name("logits-0123456789abcdef"))
    (theirs.with_name("logits-0123456789abcdef") / "identity.json").write_text(json.dumps(told))
    lines = listed(prune=True)
    assert "not known: this version keeps no rows of dream" in " ".join(line_of(lines, "dream/fido-"))
    assert "this version keeps no rows of generate" in " ".join(line_of(lines, "predict/logits-0123456789abcdef"))
    assert lines[-1] == "Deleted 0 of 10 stores, 0 B." and len(stores()) == 10


def test_every_stage_that_keeps_rows_is_known():
    sources = "".join(path.read_text() for path in (ROOT / "pipeline" / "stages").glob("*.py"))
    assert set(re.findall(r"RowStore\(\s*\w+,\s*\"(\w+)\"", sources)) == set(keeping())


def test_pruning_after_a_run_on_a_cluster_leaves_its_jobs_to_the_next_run(folder, listed):
    (folder / "results" / HELD).write_text(json.dumps(asdict(Holder("a", "here", 1, "tiny", "slurm", "yesterday"))))
    assert listed(prune=True)[-1] == "Deleted 0 of 6 stores, 0 B."
    assert read_holder(folder / "results").executor == "slurm"


def test_other_weights_and_other_code_leave_rows_that_nobody_needs(folder, listed):
    Path("small.py").write_text(Path("small.py").read_text() + "\n# other bytes\n")
    os.utime("small.py", (2**31, 2**31))
    assert listed()[-1].startswith("No study needs 6 of 6 stores, ")


def test_a_network_is_identified_by_its_own_file_before_the_study_runs(folder):
    plan = write_tiny()
    os.utime("small.py", (0, 0))
    told_by_the_run = network_of(plan, "small")
    Path(plan.identity("small")).unlink()
    assert network_of(plan, "small") == told_by_the_run != {}
    assert "state" not in told_by_the_run  # of an entry point's weights only loading tells


def test_what_could_be_of_a_network_that_is_not_there_is_kept(folder, listed):
    plan = remove_method("fido")
    Path(plan.identity("small")).unlink()
    Path("small.py").unlink()
    lines = listed(prune=True)
    assert line_of(lines, "predict/logits-")[-2:] == ["studies/tiny.yaml", "(perhaps)"]
    assert any(line.startswith("studies/tiny.yaml: the files of small are not there") for line in lines)
    assert lines[-1].startswith("Deleted 1 of 6 stores, ") and not any("fido" in name for name in stores())


def test_nothing_is_pruned_while_a_run_holds_the_results(folder, listed):
    remove_method("fido")
    with (folder / "results" / HELD).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="results/ is held by"):
            listed(prune=True)
        assert len(stores()) == 6
        assert listed()[-1].startswith("No study needs 1 of 6 stores")
    assert listed(prune=True)[-1].startswith("Deleted 1 of 6 stores")


def test_a_study_that_cannot_be_read_stops_the_pruning(folder, listed):
    Path("studies/broken.yaml").write_text("study: [")
    with pytest.raises(UserError, match=r"studies/broken\.yaml is not readable as YAML"):
        listed(prune=True)
    assert len(stores()) == 6


def test_a_pruning_that_was_killed_is_finished_by_the_next(folder, listed):
    Path("results/rows/saliency/.pruned-fido-0").mkdir()
    assert len(stores()) == 6
    listed(prune=True)
    assert not list(Path("results/rows").glob("*/.*"))


def test_an_empty_row_store_is_said_to_be_empty(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_tiny()
    store()
    assert capsys.readouterr().out == "The row store results/rows is empty.\n"
