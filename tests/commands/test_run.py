"""One run at a time holds a folder, waits for what an earlier one left, and has files made anew."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.commands import records, slurm
from pipeline.commands.holder import RUN, await_jobs, hold, is_held, read_holder
from pipeline.commands.records import make_anew, make_these_anew, note_path
from pipeline.commands.run import executor, trained_elsewhere
from pipeline.errors import UserError, lacking

ROOT = Path(__file__).resolve().parents[2]
HOLD = "from pathlib import Path; from pipeline.commands.holder import *; "
UUID = "0f8b1c1e-93a5-4be0-9d0f-2f0c6c1f7a11"


def python(code, folder, **variables):
    """Start Python on some code in a folder; it may print `ready`, and ends when its standard input does."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=folder, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.fixture
def holding(tmp_path, monkeypatch):
    """The folder `results`, held by another process, and that process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(RUN, raising=False)
    process = python(HOLD + "hold(RESULTS, 'faces'); print('ready', flush=True); input()", tmp_path)
    assert process.stdout.readline() == "ready\n"
    yield Path("results"), process
    process.kill()
    process.communicate()


# Holding


def test_a_second_run_is_refused_with_the_name_of_the_first(holding):
    folder, process = holding
    with pytest.raises(UserError) as refused:
        hold(folder, "digits")
    known = read_holder(folder)
    assert str(refused.value) == (
        f"results/ is held by process {process.pid} on {known.host}, which runs the study faces since {known.since}"
        " UTC; wait until it ends, or stop it and run again"
    )
    assert is_held(folder)


def test_a_killed_holder_leaves_the_folder_free(holding):
    folder, process = holding
    process.kill()
    process.wait()
    assert not is_held(folder)
    again = python(HOLD + "print(hold(RESULTS, 'digits').study)", Path.cwd())
    assert again.communicate() == ("faces\n", "")


def test_a_program_that_the_holder_becomes_holds_on(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN, raising=False)
    other = "'print(1, flush=True); input()'"
    code = f"import os, sys; hold(RESULTS, 'x'); os.execv(sys.executable, [sys.executable, '-c', {other}])"
    process = python(HOLD + code, tmp_path)
    process.stdout.readline()
    assert is_held(tmp_path / "results")
    process.communicate("\n")
    assert not is_held(tmp_path / "results")


def test_jobs_that_a_holder_starts_do_not_hold_the_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(RUN, raising=False)
    code = "import subprocess; hold(RESULTS, 'x'); print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"
    process = python(HOLD + code, tmp_path)
    job = int(process.stdout.readline())
    process.kill()
    process.wait()
    assert not is_held(tmp_path / "results")
    os.kill(job, 9)
    process.communicate()


def test_the_next_run_waits_for_the_jobs_of_a_killed_one_and_says_so(holding):
    folder, process = holding
    await_jobs(folder)  # nothing is there to wait for
    run = read_holder(folder).run
    job = python(HOLD + "join(RESULTS); print('ready', flush=True); input()", Path.cwd(), **{RUN: run})
    assert job.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    after = python(HOLD + "hold(RESULTS, 'x'); await_jobs(RESULTS); print('free', flush=True)", Path.cwd())
    assert "jobs of an earlier run are still at work here; waiting for them to end" in after.stderr.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        after.wait(0.5)
    job.kill()
    assert after.communicate(timeout=20)[0] == "free\n"
    job.communicate()


def test_a_job_that_begins_after_its_run_was_replaced_ends_at_once(holding):
    folder, _ = holding
    await_jobs(folder)
    late = python(HOLD + "join(RESULTS)", Path.cwd(), **{RUN: "another"})
    assert "this job of an earlier run ends and writes nothing" in late.communicate()[1]
    assert late.returncode != 0


def test_a_stage_that_a_person_starts_is_let_through(holding, monkeypatch):
    folder, _ = holding
    await_jobs(folder)
    by_hand = python(HOLD + "join(RESULTS); join(Path('elsewhere')); print('ready')", Path.cwd())
    assert by_hand.communicate() == ("ready\n", "")


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, code):
    def flock(descriptor, kind):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(UserError, match="offers no locks") as error:
        hold(tmp_path / "results", "x")
    assert "make" in str(error.value) and "\n" not in str(error.value)


def test_results_that_cannot_be_written_are_one_sentence_before_anything_runs(tmp_path):
    (tmp_path / "results").write_text("not a folder")
    for name in ("envs", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "-m", "pipeline", "run", "--study", "digits", "--profile", "laptop"]
    refused = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert refused.stderr.startswith("nothing can be written to results/ (")
    assert not (tmp_path / ".snakemake").exists()


# Snakemake's records


def test_notes_lie_where_snakemake_looks_for_them(tmp_path):
    from snakemake.persistence.file import FilePersistence

    kept = FilePersistence(path=tmp_path)
    for file in ("results/studies/a/metrics.parquet", f"results/studies/{'long' * 90}/metrics.parquet"):
        assert str(note_path(tmp_path / "metadata", file)) == kept._record_path(str(tmp_path / "metadata"), file)
        assert not kept._filter_incomplete_keys([file])
        make_anew([file], snakemake=tmp_path)
        kept._clear_cache()
        assert kept._filter_incomplete_keys([file]) == {file}


def test_marks_of_an_earlier_call_give_way_and_marks_of_others_stay(tmp_path):
    files = [f"results/studies/a/{name}.parquet" for name in ("images", "scores", "metrics")]
    marked = lambda: {file for file in files if note_path(tmp_path / "incomplete", file).exists()}  # noqa: E731
    make_anew(files[:1], snakemake=tmp_path)  # begun by a job, or to be tried again
    make_these_anew(files[:2], tmp_path)
    assert marked() == set(files[:2])
    make_these_anew(files[2:], tmp_path)
    assert marked() == {files[0], files[2]}
    make_these_anew([], tmp_path)
    assert marked() == set(files[:1])


@pytest.mark.parametrize("folder", ["classifiers", "generators"])
def test_trained_weights_without_a_record_stand(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not trained_elsewhere()
    weights = Path(f"resources/{folder}/mine.safetensors")
    weights.parent.mkdir(parents=True)
    weights.touch()
    assert trained_elsewhere()
    (records.SNAKEMAKE / "metadata").mkdir(parents=True)
    note_path(records.SNAKEMAKE / "metadata", str(weights)).touch()
    assert not trained_elsewhere()


# SLURM


def test_only_jobs_of_snakemake_in_this_folder_are_orphans(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    lines = [
        f"11|{UUID}|rule_saliency_wildcards_small_000|{tmp_path}",
        f"12|mine_{UUID}|group_all|{tmp_path / 'link'}",
        f"13|{UUID}|rule_saliency_wildcards_small_000|{tmp_path / 'elsewhere'}",
        f"14|interactive|rule_saliency|{tmp_path}",
        f"15|{UUID}|(null)|{tmp_path}",
        f"11|{UUID}|rule_saliency_wildcards_small_000|{tmp_path}",
        "",
        "slurm_load_jobs error: nothing to see",
    ]
    assert slurm.orphaned_jobs("\n".join(lines), tmp_path) == ["11", "12"]
    assert slurm.cancelling_command(["11", "12"]) == ["scancel", "11", "12"]
    assert slurm.listing_command()[0] == "squeue"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Commands of the names of SLURM's that know one job, until it is cancelled."""
    commands = tmp_path / "bin"
    commands.mkdir()
    scripts = {
        "squeue": f'[ -e {tmp_path}/cancelled ] || echo "7|{UUID}|rule_sample|{tmp_path}"',
        "scancel": f'[ "$*" = 7 ] && touch {tmp_path}/cancelled',
    }
    for name, script in scripts.items():
        (commands / name).write_text(f"#!/bin/sh\n{script}\n")
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "SECONDS_BETWEEN", 0.01)
    return commands


def test_orphans_are_cancelled_and_waited_for(cluster, tmp_path):
    assert slurm.cancel_orphans(tmp_path) == ["7"]
    assert slurm.cancel_orphans(tmp_path) == []


def test_orphans_that_do_not_end_are_named(cluster, tmp_path, monkeypatch):
    (cluster / "scancel").write_text("#!/bin/sh\n")
    monkeypatch.setattr(slurm, "SECONDS_TO_END", 0.05)
    with pytest.raises(UserError, match="the SLURM jobs 7 of an earlier run were cancelled but do not end"):
        slurm.cancel_orphans(tmp_path)


def test_a_cluster_that_does_not_answer_is_one_sentence(cluster, tmp_path, monkeypatch):
    (cluster / "squeue").write_text("#!/bin/sh\necho Unable to contact the controller >&2; exit 1\n")
    with pytest.raises(UserError, match=r"squeue failed \(Unable to contact the controller\)"):
        slurm.cancel_orphans(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no command squeue here"):
        slurm.cancel_orphans(tmp_path)


def test_profiles_tell_what_runs_their_jobs(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert [executor(profile) for profile in ("laptop", "gpu", "slurm")] == ["local", "local", "slurm"]
    with pytest.raises(UserError, match=r"there is no profile labtop in envs/; did you mean laptop\?"):
        executor("labtop")


# The rest


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b"), "a/b: the disk is full"),
        (OSError(errno.EIO, "Input/output error"), "the disk could not be read or written"),
        (MemoryError(), "there is not enough memory"),
    ],
)
def test_what_the_machine_lacks_is_a_sentence(error, said):
    assert lacking(error).startswith(said) and "run again" in lacking(error)


@pytest.mark.parametrize("error", [ValueError("no"), FileNotFoundError(errno.ENOENT, "No such file", "a"), KeyError(1)])
def test_other_errors_keep_their_traceback(error):
    assert lacking(error) is None


def test_the_commands_import_nothing_heavy_and_begin_at_once():
    code = "import sys, pipeline.commands.run, pipeline.commands.retry, pipeline.commands.holder; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "timm", "sklearn", "snakemake"} & {name.partition(".")[0] for name in modules.split()}
