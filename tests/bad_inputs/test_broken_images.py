"""Single images that cannot be used, and odd ones that can: one folder of them all, from the images to the report."""

import json
from itertools import count

import pytest

from pipeline.classifiers.identity import identify
from pipeline.datasets.source import in_order, safe_id
from pipeline.images import decode_png
from pipeline.stages.metrics import metrics
from pipeline.stages.predict import predict
from pipeline.stages.report import report
from pipeline.stages.sample import sample
from pipeline.stages.score import score
from pipeline.tables import read_table
from tests.bad_inputs.bench import BRIGHTNESS, Bench
from tests.bad_inputs.cases import ACCEPTED, BROKEN, encoded, noise

ALL = (*BROKEN, *ACCEPTED)
BY_ID = {safe_id(case.name): case for case in ALL}


def last_of_all(seed):
    """The name of a good image that is sampled after all cases, so that all are met."""
    names = (f"cats/good-{index}.png" for index in count())
    return next(name for name in names if in_order([*BY_ID, safe_id(name)], seed)[-1] == safe_id(name))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """The rows of the images and the page, of a study of all cases and one good image."""
    bench = Bench(tmp_path_factory.mktemp("study"), None)
    for case in ALL:
        bench.write(f"photos/{case.name}", case.content())
    entry = bench.entry_point(BRIGHTNESS) | {"classes": ["cats", "dogs"], "task": "label"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(bench.folder)
        dataset = {"folder": "photos", "size": 32, "rows": len(ACCEPTED) + 1, "shares": {"test": 1}}
        plan = bench.plan(dataset, entry)
        bench.write(f"photos/{last_of_all(plan.study.seed)}", encoded(noise()))
        path = {name: bench.folder / f"{name}.parquet" for name in ("images", "predictions", "scores", "metrics")}
        sample(plan.options("sample"), "code", [path["images"]])
        bench.write("mine.json", json.dumps(identify("mine", plan.entry("mine"))))
        judged = [bench.folder / "mine.json"]
        predict(plan.options("predict"), "code", path["images"], judged, bench.folder / "rows", path["predictions"])
        score(plan.options("score"), "code", [path["images"]], [path["predictions"]], path["scores"])
        metrics(plan.options("metrics"), "code", [path["scores"]], path["metrics"])
        tables = ([path["images"]], [path["predictions"]], [path["scores"]], path["metrics"])
        report(plan.options("report"), "code", *tables, bench.folder / "index.html")
    rows = {row["image_id"]: row for row in read_table(path["images"], "images").to_pylist()}
    return (
        rows,
        (bench.folder / "index.html").read_text(encoding="utf-8"),
        read_table(path["predictions"], "predictions"),
    )


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.what)
def test_a_broken_image_stays_with_its_reason_and_is_named_in_the_report(study, case):
    rows, page, predictions = study
    row = rows[safe_id(case.name)]
    assert (row["status"], row["image"]) == ("failed", None)
    assert row["reason"] == f"photos/{case.name}: {case.reason}"
    assert row["image_id"] in page and case.reason.split("'")[0] in page
    assert row["image_id"] not in predictions.column("image_id").to_pylist()


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.what)
def test_an_odd_image_is_converted_in_one_stated_way(study, case):
    rows, _, _ = study
    row = rows[safe_id(case.name)]
    pixels = decode_png(row["image"]["bytes"]).astype(int)
    assert row["status"] == "ok" and pixels.shape == (32, 32, 3)
    assert abs(pixels - case.pixel).max() <= case.tolerance


def test_every_broken_image_is_replaced_by_the_next(study):
    rows, _, predictions = study
    assert sum(row["status"] == "ok" for row in rows.values()) == len(ACCEPTED) + 1 == len(predictions)
