"""Bad inputs: one sentence that says what, where and what to do, a status that is not 0, and nothing half-written."""

import json
import pickle
import re
import socket
import sys

import pytest
import torch

from pipeline.__main__ import main
from pipeline.errors import UserError
from pipeline.stages.metrics import metrics
from pipeline.stages.sample import sample
from pipeline.study import Study, load_study
from pipeline.tables import read_table, write_table
from pipeline.workflow.fitting import check_methods
from pipeline.workflow.plan import Plan
from tests.bad_inputs.bench import BRIGHTNESS, Bench
from tests.bad_inputs.cases import DOCUMENT, REFUSALS, STUDIES, document, with_pickle


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The table of two portraits."""
    path = tmp_path_factory.mktemp("images") / "images.parquet"
    dataset = {"world": "portraits", "size": 32, "rows": 2}
    values = {
        "study": "tiny",
        "dataset": dataset,
        "classifiers": {"mine": {"onnx": "mine.onnx", "classes": ["a", "b"]}},
    }
    sample(Plan(Study.model_validate(values)).options("sample"), "code", [path])
    return path


@pytest.fixture
def bench(tmp_path, images, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return Bench(tmp_path, images)


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """The hub refuses connections, and nothing is in its caches."""
    import datasets
    import huggingface_hub

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def command(monkeypatch, capfd):
    """Run `python -m pipeline` with arguments; returns the exit status and what it said on standard error."""

    def run(arguments):
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        capfd.readouterr()
        try:
            status = main()
        except SystemExit as ended:
            status = ended.code
        return status, capfd.readouterr().err

    return run


def read_as_the_workflow_does(study):
    plan = Plan(load_study(study))
    plan.check_weights()
    check_methods(plan)
    plan.dataset_files()


def is_said(sentence, line):
    """Whether a line is the sentence, with anything where it has an ellipsis."""
    return re.fullmatch(".+".join(map(re.escape, sentence.split("…"))), line)


@pytest.mark.parametrize("case", STUDIES, ids=lambda case: case.what)
def test_a_mistake_in_a_study_is_one_sentence_before_anything_runs(case, bench):
    bench.write("tiny.yaml", case.text)
    with pytest.raises(UserError) as error:
        read_as_the_workflow_does("tiny.yaml")
    assert is_said(case.sentence, str(error.value)), str(error.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.what)
def test_a_bad_input_is_one_sentence_and_leaves_nothing_behind(case, bench, command):
    arguments = case.make(bench)
    status, said = command(arguments)
    assert status == 2
    *_, sentence = said.splitlines()
    assert is_said(case.sentence, sentence), sentence
    assert "Traceback" not in said
    assert not [
        path for path in bench.folder.rglob("*") if path.is_relative_to(bench.folder / "results") and path.is_file()
    ]
    assert not list(bench.folder.rglob("*.tmp")) and not (bench.folder / "executed").exists()


@pytest.mark.parametrize("name", ["mine.pth", "mine.onnx"])
def test_the_pickles_of_the_cases_do_run_code_where_they_are_trusted(name, bench):
    path = bench.folder / with_pickle(bench, name)
    if name.endswith(".pth"):
        torch.load(path, weights_only=False)
    else:
        pickle.loads(path.read_bytes())
    assert (bench.folder / "executed").is_dir()


def test_the_page_of_the_documentation_is_that_of_the_cases():
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "write it anew: python -m tests.bad_inputs.cases"


def test_a_classifier_that_changes_its_input_in_place_answers_as_one_that_does_not(bench, command):
    answers = []
    for change in ("images = images * 0 + images.square()", "images.square_()"):
        source = BRIGHTNESS.replace("        brightness =", f"        {change}\n        brightness =")
        status, said = command(bench.predict(bench.entry_point(source)))
        assert status == 0, said
        answers.append(read_table("results/predictions.parquet", "predictions").column("logits"))
    assert answers[0] == answers[1] and len(answers[0]) == 2


def test_images_that_a_metric_cannot_judge_are_unscored_rows_and_counted_beside_it(tmp_path):
    names = {"family": "saliency", "classifier": "mine", "method": "map", "metric": "removal_auc", "infill": "mean"}
    judged = {"status": "ok", "value": 0.25}
    flat = {"status": "unscored", "reason": "filling in the whole image hardly changes the decision"}
    options = json.dumps({"study": "tiny", "seed": 1, "bootstrap": 100, "confidence": 0.95})
    for rows, expected in (
        ([judged, flat], [("ok", 0.25, 1, None), ("unscored", None, 1, "1 of 2 rows have no score")]),
        ([flat, flat], [("unscored", None, 2, "2 of 2 rows have no score")]),
    ):
        scores = [{"row_id": str(index), "image_id": str(index), **names, **row} for index, row in enumerate(rows)]
        write_table(tmp_path / "scores.parquet", "scores", scores, {"stage": "score"})
        metrics(options, "code", [tmp_path / "scores.parquet"], tmp_path / "tiny" / "metrics.parquet")
        found = read_table(tmp_path / "tiny" / "metrics.parquet", "metrics").to_pylist()
        assert [(row["status"], row["value"], row["n"], row["reason"]) for row in found] == expected
