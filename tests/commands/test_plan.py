"""What a study will take: foretold, then held against what it took, and against what is left of it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from pipeline.commands.outdated import outdated
from pipeline.commands.plan import plan
from tests.commands.stages_in_process import JUDGING, STUDY, run_stages, working_in, write_tiny

ROOT = Path(__file__).resolve().parents[2]
FIDO = 2 * 3  # masks and steps of the study's fido
OCCLUSION = 1 + 7 * 7  # the image, and the places of a window of a quarter that moves by an eighth


@pytest.fixture(scope="module")
def foretold(tmp_path_factory):
    """The plan of the study `tiny`, and the folder where it was computed after all jobs were foretold."""
    with working_in(tmp_path_factory.mktemp("foretold")) as folder:
        planned = write_tiny(**JUDGING)
        assert all(job.takes for job in planned.all_jobs())
        run_stages(planned)
    return planned, folder


@pytest.fixture
def folder(foretold, tmp_path, monkeypatch):
    """A copy of that folder to work in."""
    shutil.copytree(foretold[1], tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("COUNTERFACTORY_DEVICE", "cpu")
    return tmp_path / "here"


@pytest.fixture
def shown(capsys):
    """Call the command and return the cells of its table by the name of the line, and the notes below."""

    def call(study="tiny"):
        plan(study)
        table, _, notes = capsys.readouterr().out.partition("\n\nLeft")
        lines = [[cell for cell in line.split("  ") if cell] for line in table.splitlines()]
        return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines if cells}, "Left" + notes

    return call


def costs(folder, stage):
    """The rows of `costs` of all jobs of a stage."""
    files = (folder / "results/studies/tiny/costs").glob("*.parquet")
    rows = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return [row for row in rows if row["stage"] == stage]


def rows_in(folder, job):
    return sum(pyarrow.parquet.read_metadata(folder / file).num_rows for file in job.outputs)


@pytest.mark.parametrize("stage", ["sample", "intervene", "predict", "saliency", "counterfactuals", "judge", "score"])
def test_the_rows_of_every_table_are_foretold(stage, foretold):
    planned, folder = foretold
    assert all(rows_in(folder, job) == job.takes.rows > 0 for job in planned.jobs(stage))


def test_scores_of_maps_are_foretold_but_for_those_of_boxes_that_no_image_turns_out_to_have(foretold):
    """No shape flips what this network decides, so that no image has a true region to localise."""
    planned, folder = foretold
    (job,) = planned.jobs("score_saliency")
    of_boxes = 2 * 5 * (2 * 3 + 3)  # of two measures, images, and methods twice with two controls and the truth
    assert rows_in(folder, job) == job.takes.rows - of_boxes > 0


def test_there_are_at_most_as_many_scores_of_counterfactuals_as_foretold(foretold):
    planned, folder = foretold
    (job,) = planned.jobs("score_counterfactuals")
    assert 0 < rows_in(folder, job) < job.takes.rows and not job.takes.exact


def test_every_job_and_every_file_is_foretold(foretold):
    planned, folder = foretold
    written = {str(path.relative_to(folder)) for path in (folder / "results/studies/tiny").rglob("*") if path.is_file()}
    beside = {path for path in written if path.split("/")[3] in ("costs", "report") and not path.endswith("index.html")}
    beside |= {path for path in written if path.endswith(".hashed")}
    assert set(planned.outputs()) == written - beside


@pytest.mark.parametrize("stage", ["predict", "saliency", "counterfactuals", "judge"])
def test_the_network_evaluations_that_a_run_reports_are_foretold(stage, foretold):
    planned, folder = foretold
    reported = sum(row["network_evaluations"] for row in costs(folder, stage))
    assert reported == sum(job.takes.evaluations for job in planned.jobs(stage)) > 0


def test_the_passes_that_score_counterfactuals_are_foretold_but_for_controls_that_there_are_not(foretold):
    planned, folder = foretold
    (row,), (job,) = costs(folder, "score_counterfactuals"), planned.jobs("score_counterfactuals")
    scores = pyarrow.parquet.read_table(folder / job.outputs[0], columns=["metric", "method", "status"]).to_pylist()
    lacking = {"metric": "target_accuracy", "method": "nearest-real", "status": "unscored"}
    slices = 53  # of 1024 or 256 pixels: steps of a fiftieth, the remainder, and none replaced
    assert row["network_evaluations"] == job.takes.evaluations - slices * scores.count(lacking) > 0


def test_the_bytes_of_tables_and_row_store_are_foretold_within_a_factor_of_two(foretold):
    planned, folder = foretold
    jobs = [job for job in planned.all_jobs() if job.stage.files is None]
    tables = sum((folder / file).stat().st_size for job in jobs for file in job.outputs)
    assert 0.5 < sum(job.table_bytes for job in jobs) / tables < 2
    kept = sum(path.stat().st_size for path in (folder / "results/rows").rglob("*.parquet"))
    assert 0.4 < sum(job.store_bytes for job in jobs) / kept < 2


def test_the_table_shows_each_stage_each_method_and_the_total(tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    write_tiny(**JUDGING)
    cells, notes = shown()
    assert cells["intervene"][:6] == [
        "2",
        "2",
        "30",
        "30",
        "-",
        "-",
    ]  # five images, each with one of six shapes changed
    assert cells["predict"][:6] == ["2", "2", "70", "70", "70", "70"]  # by the classifier and the one that judges
    assert cells["judge"][:6] == ["2", "2", "10", "10", "10", "10"]
    assert cells["fido"][:5] == ["5", "5", *[str(5 * FIDO)] * 3]  # no jobs of its own
    assert cells["occlusion"][:5] == ["5", "5", *[str(5 * OCCLUSION)] * 2, "-"]
    assert cells["random"][:5] == ["5", "5", "-", "-", "-"]
    assert cells["saliency"][:5] == ["2", "2", "15", "15", str(5 * (FIDO + OCCLUSION))]
    assert cells["pgd"][:3] == ["5", "5", str(5 * (2 + 1))]  # each image is judged once it is made
    # Three steps: a pass through the generator each, and in the two that are guided one through classifier and helper.
    assert cells["dvce"][:5] == ["5", "5", *[str(5 * (3 + 2 + 2 + 1))] * 2, str(5 * (2 + 2 + 2))]
    assert cells["total"][:2] == ["19", "19"] and notes.startswith("Left: 19 jobs, ")


def test_a_study_that_is_there_leaves_nothing_to_compute(folder, shown):
    cells, notes = shown()
    stages = ("sample", "intervene", "predict", "saliency", "counterfactuals", "score", "score_saliency")
    assert all(cells[name][1] == cells[name][3] == "0" for name in stages)
    assert notes.startswith("Left: 0 jobs, 0 network evaluations at most.")


def test_rows_of_the_row_store_are_not_left_where_tables_are_gone(folder, shown):
    shutil.rmtree("results/studies/tiny/tables/saliency")
    cells, notes = shown()
    assert cells["saliency"][:6] == ["2", "2", "15", "0", str(5 * (FIDO + OCCLUSION)), "0"]
    assert notes.startswith("Left: 7 jobs, ")  # two of them, and what follows from these


def test_one_more_method_leaves_its_own_rows_to_compute(folder, shown):
    write_tiny(saliency={**STUDY["saliency"], "slow": {**STUDY["saliency"]["fido"], "steps": 4}}, **JUDGING)
    cells, notes = shown()
    assert (cells["fido"][:2], cells["slow"][:2]) == (["5", "0"], ["5", "5"])
    assert notes.startswith("Left: 7 jobs, ")


@pytest.mark.parametrize(
    "sections", [{"explained_rows": 4}, {"seed": 8}, {"evaluation": {"infills": ["mean"]}}, {}], ids=str
)
def test_what_is_left_are_the_jobs_that_are_explained(folder, shown, sections):
    planned = write_tiny(**JUDGING, **sections)
    _, notes = shown()
    assert notes.startswith(f"Left: {len(outdated(planned))} jobs, ")


def test_predictions_are_left_in_full_where_what_they_are_of_will_be_made_anew(folder, shown):
    shutil.rmtree("results/studies/tiny/tables/predictions")
    os.unlink("results/studies/tiny/tables/interventions/intervene/part-001.parquet")
    cells, _ = shown()
    # Of the second part, of two images with twelve interventions, only the images are known.
    assert cells["predict"][:4] == ["2", "2", "70", str(2 * 12)]


def test_networks_that_are_not_there_are_planned_all_the_same(folder, shown):
    Path("small.py").unlink()
    shutil.rmtree("results/studies/tiny/identities")
    assert shown()[0]["predict"][:4] == ["2", "2", "70", "70"]  # nobody can say whether what stands is theirs


STUDIES = ["default", "digits", "own-images", "portraits", "suite", "vce-imagenet", "vce-portraits"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_that_ships_can_be_planned(study, tmp_path, monkeypatch, shown):
    for name in ("config.yaml", "studies", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    cells, _ = shown(study)
    assert int(cells["total"][0]) >= 6


def test_the_published_grid_is_counted_in_full(monkeypatch, shown):
    """28 settings of classifier, cone and x0-gradient, 66 pairs of classes, 50 images; half of 200 steps of each."""
    monkeypatch.chdir(ROOT)
    cells, said = shown("vce-imagenet")
    counterfactuals = 28 * 66 * 50
    assert counterfactuals == 92_400 and cells["counterfactuals"][2] == "92,400"
    steps = counterfactuals * 100
    with_cone = steps // 2
    # At each step the diffusion model and the classifier, with the cone also its helper; then the classifier judges.
    assert cells["counterfactuals"][4] == f"{2 * steps + with_cone + counterfactuals:,}"
    assert "vce-imagenet/256x256_diffusion_uncond.pt" in said


def test_planning_imports_nothing_slow(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-X", "importtime", "-m", "pipeline", "plan", "--study", "tiny"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    imported = {line.split("|")[2].strip().split(".")[0] for line in done.stderr.splitlines() if line.count("|") == 2}
    assert "pyarrow" in imported and not imported & {"torch", "timm", "captum", "sklearn"}


def test_a_plan_changes_no_file(folder, shown):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    shown()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
