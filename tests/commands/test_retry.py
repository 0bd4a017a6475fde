"""Failed rows are forgotten where they came from, and nothing else is."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image

from pipeline.commands.records import SNAKEMAKE, note_path
from pipeline.commands.retry import account, failed_rows, forget, looked_at, retry
from pipeline.errors import UserError
from pipeline.rowfiles import forget_failed
from pipeline.rows import Key, RowStore
from pipeline.stages.identify import identify
from pipeline.stages.predict import predict
from pipeline.stages.saliency import saliency
from pipeline.stages.sample import sample
from pipeline.study import load_study
from pipeline.tables import read_table
from pipeline.workflow.plan import Plan

MOODY = '''
import torch

from pathlib import Path
from pipeline.errors import RowFailure


def load():
    """Brightness; while a file `asleep` is there, no gradient of a dark image, and no logits for the darkest."""
    def logits(images):
        brightness = images.mean((1, 2, 3))
        if any(Path().glob("aslee?")):  # a file that is named in quotes would be part of what the network is
            dark = brightness < (0.4 if images.requires_grad else 0.1)
            if dark.any():
                raise RowFailure({int(index): "too dark" for index in dark.nonzero()[:1]})
        return torch.stack([0.5 - brightness, brightness - 0.5], 1)

    return logits
'''
STUDY = """
study: {name}
dataset: {{folder: photographs, size: 32, rows: 4, shares: {{train: 0, search: 0, test: 1}}}}
classifiers:
  moody: {{entry_point: "moody.py:load", classes: [dark, bright], temperature: {temperature}}}
explained_rows: 4
saliency:
  gradient: {{method: gradient}}
  random: {{method: random}}
"""
TORN = "photographs/dark/half.png"  # comes before the last of the others in the order of the split
SHADES = {"dark/black": 0, "dark/grey": 60, "bright/light": 160, "bright/white": 250}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with photographs of four shades, and a classifier that has moods."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COUNTERFACTORY_DEVICE", "cpu")
    for name, shade in SHADES.items():
        path = Path("photographs") / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((32, 32, 3), shade, np.uint8)).save(path)
    Path("moody.py").write_text(MOODY)
    return tmp_path


def made(name="moods", temperature=1.0):
    """The study of that name with its tables, as its jobs make them."""
    Path(f"{name}.yaml").write_text(STUDY.format(name=name, temperature=temperature))
    plan = Plan(load_study(f"{name}.yaml"))
    images, (identity,) = plan.parts("images", "sample"), map(Path, map(plan.identity, plan.networks))
    told = {stage: (plan.options(stage), plan.code(stage)) for stage in ("sample", "predict", "saliency")}
    predictions, maps = Path(plan.part("predictions", "predict", "000")), Path(plan.parts("saliency")[0])
    store = Path(plan.store)
    identify(plan.options("identify"), [identity], plan.code("identify"))
    sample(*told["sample"], list(map(Path, images)), plan.sizes(plan.dataset_files()))
    predict(*told["predict"], Path(images[0]), [identity], store, predictions)
    saliency(*told["saliency"], 4, Path(images[0]), predictions, "moody", identity, store, maps)
    return plan


def told(plan):
    return account(failed_rows(plan))


def computed(plan):
    (row,) = read_table(next(plan.folder.glob("costs/*saliency*.parquet")), "costs").to_pylist()
    return row["rows_computed"]


def test_failed_rows_are_counted_by_table_and_reason(folder):
    Path("asleep").touch()
    Path(TORN).write_bytes(b"no image")
    plan = made()
    assert told(plan)[1:] == [
        "predictions: 1 failed row forgotten (too dark)",
        "saliency: 1 failed row forgotten (too dark)",
    ]
    assert told(plan)[0].startswith("images: 1 failed row forgotten (") and "half.png" in told(plan)[0]


def test_only_what_was_forgotten_is_computed_again(folder):
    Path("asleep").touch()
    plan = made()
    assert computed(plan) == 6  # black has no prediction, so nothing is explained
    Path("asleep").unlink()
    assert told(made()) == told(plan) != []  # failed rows stay, whatever made them fail
    forget(plan, failed_rows(plan))
    made()
    assert told(plan) == []
    assert computed(plan) == 3  # grey's gradient, and both maps of black
    again = read_table(plan.parts("saliency"), "saliency").to_pylist()
    assert [row["status"] for row in again] == ["ok"] * 8


def test_what_is_made_after_forgetting_is_what_would_have_been_made_at_once(folder):
    Path("asleep").touch()
    plan = made()
    Path("asleep").unlink()
    forget(plan, failed_rows(plan))
    made()
    once = made("others")
    assert computed(once) == 0
    tables = [[{**row} for row in read_table(each.parts("saliency"), "saliency").to_pylist()] for each in (plan, once)]
    assert tables[0] == tables[1]


def test_failed_rows_of_another_classifier_are_kept(folder):
    Path("asleep").touch()
    plan = made()
    other = made("others", temperature=2.0)
    forget(plan, failed_rows(plan))
    made("others", temperature=2.0)
    assert computed(other) == 0 and told(other) == told(plan)


def test_failed_rows_of_images_that_another_study_alone_has_are_kept(folder):
    Path("asleep").touch()
    plan = made()
    Path("asleep").unlink()
    before = told(plan)
    elsewhere = {"image_id": "dark--slate.png", "source_row_id": "dark--slate.png"}
    forget(plan, [replace(row, columns={**row.columns, **elsewhere}) for row in failed_rows(plan)])
    made()
    assert told(plan) == before and computed(plan) == 0


def test_a_prediction_is_kept_under_what_was_looked_at_and_of_a_counterfactual_under_its_image():
    rows = [("images", "a", "a"), ("interventions", "a/hat=absent", "a"), ("counterfactuals", "net/dvce/a/1/0", "a")]
    found = [looked_at({"source": row[0], "source_row_id": row[1], "image_id": row[2]}) for row in rows]
    assert found == ["a", "a/hat=absent", "a"]
    assert looked_at({"image_id": "a"}) == "a"  # a row of another table


def test_rows_that_stay_are_the_ones_that_counted_before(tmp_path):
    schema = pyarrow.schema([("value", pyarrow.float32())])
    failed = {"status": "failed", "reason": "too dark"}
    for attempt in range(8):  # in some, the batch that counts is the one that is rewritten
        folder = tmp_path / str(attempt)
        twice, dark, grey = Key("twice", "00"), Key("dark", "01"), Key("grey", "02")
        store = RowStore(folder, "saliency", "fido", {}, schema)
        store.append([twice, dark, grey], [{"value": attempt}, failed, failed])
        store.append([twice], [{"value": attempt + 0.5}])
        counted = RowStore(folder, "saliency", "fido", {}, schema).select([twice, grey])
        assert forget_failed(store.folder, {"dark"}) == 1
        after = RowStore(folder, "saliency", "fido", {}, schema)
        assert after.missing([twice, dark, grey]) == [dark]
        assert after.select([twice, grey]).equals(counted)


def test_a_study_without_failed_rows_says_so(folder, capsys):
    (folder / "envs").symlink_to(Path(__file__).resolve().parents[2] / "envs")
    plan = made()
    retry("moods.yaml", "laptop")
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == "No row of the study moods has failed; there is nothing to retry."
    assert told(plan) == []


def test_an_unknown_study_is_refused_before_anything_is_held(folder):
    with pytest.raises(UserError, match="there is no study"):
        retry("modos", "laptop")
    assert not Path("results").exists()


def test_tables_with_failed_rows_are_marked_to_be_made_anew(folder, monkeypatch):
    """Also those of stages that keep no rows, such as the images of a torn file."""
    (folder / "envs").symlink_to(Path(__file__).resolve().parents[2] / "envs")
    Path(TORN).write_bytes(b"no image")
    plan = made()
    for path in plan.folder.rglob("*.*"):  # as if Snakemake had made them
        record = note_path(records_folder(), str(path))
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(json.dumps({}))

    class Became(Exception):
        pass

    def execve(program, arguments, environment):
        raise Became(arguments)

    monkeypatch.setattr("os.execve", execve)
    with pytest.raises(Became):
        retry("moods.yaml", "laptop")
    marks = [path for path in (SNAKEMAKE / "incomplete").rglob("*") if path.is_file()]
    assert marks == [note_path(SNAKEMAKE / "incomplete", plan.parts("images", "sample")[0])]


def records_folder():
    (SNAKEMAKE / "metadata").mkdir(parents=True, exist_ok=True)
    return SNAKEMAKE / "metadata"
