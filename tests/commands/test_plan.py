"""What a study will take: foretold, then held against what it took."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet
import pytest

from pipeline.commands.plan import plan
from pipeline.errors import UserError
from pipeline.study.estimate import ROWS_AT_ONCE, Estimate
from tests.commands.stages_in_process import JUDGING, STUDY, run_stages, working_in, write_tiny

ROOT = Path(__file__).resolve().parents[2]
FIDO = 2 * 3  # masks and steps of the study's fido
OCCLUSION = 1 + 7 * 7  # the image, and the places of a window of a quarter that moves by an eighth


@pytest.fixture(scope="module")
def foretold(tmp_path_factory):
    """What was foretold of the study `tiny` before it was computed, by stage; and the folder where it then was."""
    with working_in(tmp_path_factory.mktemp("foretold")) as folder:
        planned = write_tiny(**JUDGING)
        work = {stage.stage: stage for stage in Estimate(planned).work()}
        run_stages(planned)
    return work, folder


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

    def call(study="tiny", **options):
        plan(study, **options)
        table, _, notes = capsys.readouterr().out.partition("\n\nLeft")
        lines = [[cell for cell in line.split("  ") if cell] for line in table.splitlines()]
        return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines if cells}, "Left" + notes

    return call


def costs(folder, stage):
    """The rows of `costs` of all jobs of a stage."""
    files = (folder / "results/studies/tiny/costs").glob("*.parquet")
    rows = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return [row for row in rows if row["stage"] == stage]


@pytest.mark.parametrize("stage", ["sample", "intervene", "predict", "saliency", "counterfactuals", "judge", "score"])
def test_the_rows_of_every_table_are_foretold(stage, foretold):
    work, folder = foretold
    files = [folder / file for files in work[stage].outputs for file in files]
    assert sum(pyarrow.parquet.read_metadata(file).num_rows for file in files) == work[stage].rows > 0


def test_scores_of_maps_are_foretold_but_for_those_of_boxes_that_no_image_turns_out_to_have(foretold):
    """No shape flips what this network decides, so that no image has a true region to localise."""
    work, folder = foretold
    ((file,),) = work["score_saliency"].outputs
    of_boxes = 2 * 5 * (2 * 3 + 3)  # of two measures, images, and methods twice with two controls and the truth
    assert pyarrow.parquet.read_metadata(folder / file).num_rows == work["score_saliency"].rows - of_boxes > 0


def test_every_job_and_every_file_is_foretold(foretold):
    work, folder = foretold
    written = {str(path.relative_to(folder)) for path in (folder / "results/studies/tiny").rglob("*") if path.is_file()}
    beside = {path for path in written if path.split("/")[3] in ("costs", "report") and not path.endswith("index.html")}
    beside |= {path for path in written if path.endswith(".hashed")}
    assert {file for stage in work.values() for files in stage.outputs for file in files} == written - beside
    assert {stage: len(costs(folder, stage)) for stage in work if stage != "identify"} == {
        stage: work[stage].jobs for stage in work if stage != "identify"
    }


@pytest.mark.parametrize("stage", ["predict", "saliency", "counterfactuals", "judge"])
def test_the_network_evaluations_that_a_run_reports_are_foretold(stage, foretold):
    work, folder = foretold
    assert sum(row["network_evaluations"] for row in costs(folder, stage)) == work[stage].network_evaluations > 0


def test_the_passes_that_score_counterfactuals_are_foretold_but_for_controls_that_there_are_not(foretold):
    work, folder = foretold
    (row,), ((file,),) = costs(folder, "score_counterfactuals"), work["score_counterfactuals"].outputs
    scores = pyarrow.parquet.read_table(folder / file, columns=["metric", "method", "status"]).to_pylist()
    lacking = {"metric": "target_accuracy", "method": "nearest-real", "status": "unscored"}
    slices = 53  # of 1024 or 256 pixels: steps of a fiftieth, the remainder, and none replaced
    foretold_passes = work["score_counterfactuals"].network_evaluations
    assert row["network_evaluations"] == foretold_passes - slices * scores.count(lacking) > 0


def test_the_bytes_of_tables_and_row_store_are_foretold_within_a_factor_of_two(foretold):
    work, folder = foretold
    tables = sum((folder / file).stat().st_size for stage in work.values() for files in stage.outputs for file in files
                 if file.endswith(".parquet"))  # fmt: skip
    assert 0.5 < sum(stage.table_bytes for stage in work.values()) / tables < 2
    maps = sum(path.stat().st_size for path in (folder / "results/rows").rglob("*.parquet"))
    assert 0.4 < sum(stage.store_bytes for stage in work.values()) / maps < 2


def test_the_table_shows_each_stage_each_method_and_the_total(tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    write_tiny(**JUDGING)
    cells, notes = shown()
    assert cells["intervene"][:6] == ["2", "0", "30", "0", "-", "-"]  # five images, each with one of six shapes changed
    assert cells["predict"][:6] == ["2", "0", "70", "0", "70", "-"]  # by the classifier and the one that judges
    assert cells["judge"][:6] == ["2", "0", "10", "0", "10", "-"]
    assert cells["fido"][:4] == ["5", "0", str(5 * FIDO), str(5 * FIDO)]  # no jobs of its own
    assert cells["occlusion"][:4] == ["5", "0", str(5 * OCCLUSION), "-"]
    assert cells["random"][:4] == ["5", "0", "-", "-"]
    assert cells["saliency"][:6] == ["2", "0", "15", "0", str(5 * (FIDO + OCCLUSION)), str(5 * FIDO)]
    assert cells["pgd"][:4] == ["5", "0", str(5 * (2 + 1)), str(5 * 2)]  # each image is judged once it is made
    # Three steps: a pass through the generator each, and in the two that are guided one through classifier and helper.
    assert cells["dvce"][:4] == ["5", "0", str(5 * (3 + 2 + 2 + 1)), str(5 * (2 + 2 + 2))]
    assert cells["total"][:2] == ["17", "0"]
    assert "nothing was measured here yet" in notes and "make plan MEASURE=1" in notes
    assert cells["predict"][6] == cells["saliency"][6] == "?" and cells["total"][6].startswith("> ~")


def test_a_study_that_is_there_leaves_nothing_to_compute(folder, shown):
    cells, notes = shown()
    stages = [
        cells[name]
        for name in (
            "sample",
            "intervene",
            "predict",
            "saliency",
            "counterfactuals",
            "score",
            "score_saliency",
            "total",
        )
    ]
    assert all(line[0] == line[1] and line[2] == line[3] for line in stages)
    assert notes.startswith("Left: 0 jobs, 0 network evaluations, 0.0 s here.")
    assert "Times without a sign follow from earlier runs" in notes
    assert not cells["predict"][6].startswith(("~", "?")) and not cells["saliency"][6].startswith(("~", "?"))


def test_rows_of_the_row_store_count_as_there_where_tables_are_gone(folder, shown):
    shutil.rmtree("results/studies/tiny/tables/saliency")
    cells, notes = shown()
    assert cells["saliency"][:4] == ["2", "0", "15", "15"]
    assert notes.startswith("Left: 5 jobs, ")  # two of them, and what follows from these


def test_one_more_method_leaves_its_own_rows_to_compute(folder, shown):
    shutil.rmtree("results/studies/tiny/tables/saliency")
    write_tiny(saliency={**STUDY["saliency"], "slow": {**STUDY["saliency"]["fido"], "steps": 4}}, **JUDGING)
    cells, notes = shown()
    assert (cells["fido"][:2], cells["slow"][:2]) == (["5", "5"], ["5", "0"])
    assert notes.startswith("Left: 5 jobs, ")


def test_predictions_of_more_images_are_left_where_the_store_knows_some(folder, shown):
    shutil.rmtree("results/studies/tiny/tables/predictions")
    os.unlink("results/studies/tiny/tables/interventions/intervene/part-001.parquet")
    cells, _ = shown()
    # Three images of the first part with six interventions each, and two images of the second, are known by name.
    assert cells["predict"][:4] == ["2", "0", "70", str(2 * (3 + 18 + 2))]


def test_the_stage_makes_maps_in_the_batches_that_are_assumed():
    from pipeline.stages.saliency import BATCH, STORED_AT_ONCE

    assert BATCH == STORED_AT_ONCE == ROWS_AT_ONCE


def test_measuring_tells_time_here_and_on_a_card_by_counted_operations(folder, shown):
    for file in Path("results/studies/tiny/costs").glob("*"):
        file.unlink()
    cells, notes = shown(gpu="h100", measure=True)
    assert cells["saliency"][6].startswith("~") and cells["saliency"][7].startswith("~")
    assert "no such run was here yet; a batch of each network was timed (cpu, " in notes
    assert "On H100: an estimate, from 30% of its peak of 67 TFLOP/s in float32" in notes
    speeds = [json.loads(path.read_text()) for path in Path("results/speeds").iterdir()]
    *_, speed, generator = sorted(speeds, key=lambda each: each["operations"])
    assert generator["forward"] > 0 and generator["with_backward"] > 0
    # Convolution of 3 to 4 channels, 3 x 3, at 32 x 32 pixels, and a linear layer of 64 to 2; a product and a sum.
    assert speed["operations"] == 2 * (3 * 4 * 9 * 32 * 32 + 64 * 2)
    assert speed["forward"] > 0 and speed["with_backward"] > 0
    assert shown()[0]["saliency"][6] == cells["saliency"][6]


def test_a_card_without_counted_operations_is_not_guessed(folder, shown):
    cells, notes = shown(gpu="T4")
    assert cells["saliency"][7] == cells["predict"][7] == "?" and cells["total"][7].startswith(">")
    assert "? on T4: the operations of a network are counted by `make plan MEASURE=1`." in notes


def test_an_unknown_card_is_refused_with_the_nearest_name(folder):
    with pytest.raises(UserError, match=r"there is no GPU 'H10O' in the list; use H100 \(one of T4, V100, "):
        plan("tiny", gpu="H10O")


def test_networks_that_are_not_there_are_planned_all_the_same(folder, shown):
    Path("small.py").unlink()
    shutil.rmtree("results/studies/tiny/identities")
    assert shown()[0]["predict"][:3] == ["2", "0", "70"]  # nobody can say whether what stands is theirs


STUDIES = ["default", "digits", "own-images", "portraits", "suite", "vce-imagenet", "vce-portraits"]


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_that_ships_can_be_planned(study, tmp_path, monkeypatch, shown):
    for name in ("config.yaml", "studies", "data"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    cells, _ = shown(study, gpu="A100")
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
