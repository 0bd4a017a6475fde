"""A row never depends on the shard that it is made in: every stage with rows per image, on a small real network."""

from dataclasses import dataclass

import numpy as np
import pytest

from pipeline.methods import methods
from pipeline.metrics.control_maps import OTHER
from pipeline.stages.sample import sample
from pipeline.stages.score_saliency import score_saliency
from pipeline.study import Study
from pipeline.tables import read_provenance, read_table, unpack, write_table
from pipeline.workflow import stages
from pipeline.workflow.plan import Plan
from tests.alike import alike
from tests.stages.conftest import Tables
from tests.workflow.conftest import write_autoencoder, write_generator

BY_IMAGE = ("sample", "intervene", "predict", "score", "saliency", "counterfactuals", "score_saliency")
BY_IMAGE += ("judge", "score_counterfactuals", "encode", "transfer", "attribute")
WITHOUT_ROWS_OF_IMAGES = ("identify", "encode_search", "directions", "score_directions", "accuse", "score_accusations")
WITHOUT_ROWS_OF_IMAGES += ("metrics", "report")
FROM_OTHER_IMAGES = {"localisation_error_tuned"}  # its threshold is the best one for the other half of the images

SHARDS = {"two shards in another order": [[3, 0, 4], [2, 1]]}
NETWORK = """
import torch


def load():
    torch.manual_seed(3)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.BatchNorm2d(4), torch.nn.SiLU(), torch.nn.AdaptiveAvgPool2d(4),
        torch.nn.Flatten(), torch.nn.Linear(64, 2),
    )
"""
METHODS = {
    "fido": {"method": "fido", "infill": "random", "grid": 4, "masks": 2, "steps": 4, "warm_up": 1},
    "integrated-gradients": {"method": "integrated-gradients", "steps": 4},
    "random": {"method": "random"},
}
COUNTERFACTUALS = {
    "dvce": {"method": "dvce", "generator": "adm", "steps": 4, "skip": 1, "samples": 2},
    "ace": {"method": "ace", "generator": "adm", "start": 2, "iterations": 2, "target": "next"},
    "svce": {"method": "svce", "iterations": 3},
}

BOUND = methods("attributions")["bb-lig"].bound
WALK = {"method": "bb-lig", "direction": "gcd", "formula": "complete", "steps": 5, "points": 5, "threshold": 0.57}
STEPS = {"encode_steps": 4, "decode_steps": 2, "calibration": 2, "marks": 2, "halvings": 2}


@dataclass(frozen=True)
class Worked:
    """The rows of every stage by their row_id."""

    rows: dict[str, dict[str, dict]]

    @classmethod
    def through(cls, tables: Tables) -> "Worked":
        """Run the stages on the images of a folder; nothing is looked up, since the folder has its own row store."""
        made = {
            "sample": tables.rows("images"),
            "intervene": tables.intervene(),
            "predict": tables.predict(),
            "score": tables.score(),
            "saliency": tables.saliency("small"),
            "counterfactuals": tables.counterfactuals("small"),
            "judge": tables.judge(),
            "score_counterfactuals": tables.score_counterfactuals("small"),
            "encode": tables.encode(),
        }
        tables.directions("small")
        made["transfer"] = tables.transfer("small")
        made["attribute"] = tables.attribute("small")
        made["score_saliency"] = tables.score_saliency("small")
        for row in made["encode"]:
            row["noise"] = unpack("codes", "noise", row["noise"], row["shape"]).tolist()
        for row in [*made["saliency"], *made["attribute"]]:
            row["map"] = unpack("saliency", "map", row["map"], row["shape"]).tolist()
        for row in made["attribute"]:  # a level of grey that rounds the other way moves it by so much
            row["map"] = (np.array(row["map"]) * (1e-3 / BOUND / (np.ptp(row["map"]) or 1))).tolist()
        return cls({stage: {row["row_id"]: row for row in rows} for stage, rows in made.items()})


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Makes the plan of a study of portraits; sections can be replaced."""
    path = tmp_path_factory.mktemp("network") / "small.py"
    path.write_text(NETWORK, encoding="utf-8")
    entry = {"entry_point": f"{path}:load", "task": "smile", "classes": ["absent", "present"]}
    write_generator(path.with_name("adm.safetensors"))
    write_autoencoder(path.with_name("dae.safetensors"))
    explaining = {
        "saliency": METHODS,
        "counterfactuals": COUNTERFACTUALS,
        "directions": {"gcd": {"method": "gcd", "autoencoder": "dae", **STEPS, "decodes": 9, "images": 6}},
        "attributions": {"bb-lig": {**WALK, "longest": 4000}},
        "generators": {name: {"file": str(path.with_name(f"{name}.safetensors"))} for name in ("adm", "dae")},
    }

    def make(rows=5, **sections):
        dataset = {"world": "portraits", "size": 32, "rows": rows}
        scored = {"evaluation": {"infills": ["random"]}, "statistics": {"bootstrap": 100}}
        sections = {**explaining, **scored, **sections}
        judging = {"networks": {"other": {**entry, "temperature": 2.0}}, "oracles": ["other"], "readers": ["other"]}
        values = {"study": "tiny", "dataset": dataset, "classifiers": {"small": entry}, **judging, **sections}
        return Plan(Study.model_validate(values))

    return make


@pytest.fixture(scope="module")
def together(plan, tmp_path_factory):
    """All five images in one shard, and its folder."""
    tables = Tables(tmp_path_factory.mktemp("together"), plan())
    tables.sample()
    return tables, Worked.through(tables)


@pytest.fixture(scope="module", params=SHARDS)
def apart(request, plan, together, tmp_path_factory):
    """The same images in other shards: their rows by stage."""
    whole, _ = together
    images, told = read_table(whole.path("images"), "images"), read_provenance(whole.path("images"))
    rows = {stage: {} for stage in BY_IMAGE}
    for shard in SHARDS[request.param]:
        tables = Tables(tmp_path_factory.mktemp("shard"), plan())
        write_table(tables.path("images"), "images", images.take(shard), told)
        for stage, made in Worked.through(tables).rows.items():
            rows[stage] |= made
    return rows


def test_every_stage_says_whether_it_has_rows_of_images():
    named = {name for name, stage in stages().items() if not stage.trains}
    assert named == {*BY_IMAGE, *WITHOUT_ROWS_OF_IMAGES}, "name a new stage here, and run it in Worked.through"


@pytest.mark.parametrize("stage", BY_IMAGE)
def test_a_row_is_the_same_up_to_rounding_whatever_the_shard(stage, apart, together):
    _, worked = together
    images = {row["image_id"] for row in apart["sample"].values()}
    expected = decided_alone({key: row for key, row in worked.rows[stage].items() if row["image_id"] in images})
    made = decided_alone(apart[stage])
    assert len(expected) >= len(images) and made.keys() == expected.keys()
    unlike = [
        (key, name) for key, row in made.items() for name, value in row.items() if not alike(value, expected[key][name])
    ]
    assert not unlike


def decided_alone(rows):
    """The rows but those that follow from other images too: controls that are one of them, and numbers about sets."""
    return {
        key: row
        for key, row in rows.items()
        if row.get("metric") not in FROM_OTHER_IMAGES
        and row.get("method") != "nearest-real"
        and row.get("control") != OTHER
        and row["image_id"] is not None
    }


def test_the_maps_that_are_compared_show_something(together):
    _, worked = together
    strengths = [row["strength"] for row in worked.rows["attribute"].values()]
    assert any(strengths) and None in strengths and len(strengths) == 5


@pytest.mark.parametrize(("rows", "shard_rows"), [(5, 2), (8, 3)])
def test_an_image_is_the_same_in_whichever_part_and_however_many_there_are(rows, shard_rows, plan, together, tmp_path):
    _, worked = together
    chosen = plan(rows, shard_rows=shard_rows)
    parts = [tmp_path / f"{shard}.parquet" for shard in chosen.shards]
    sample(chosen.options("sample"), "code", parts)
    assert read_table(parts, "images").to_pylist()[:5] == list(worked.rows["sample"].values())


def test_scores_of_maps_are_the_same_from_one_part_and_from_several(plan, together, tmp_path):
    tables, worked = together
    parts = {}
    for name, written in (("images", "images"), ("saliency", "saliency"), ("attributed", "saliency")):
        table, told = read_table(tables.path(name), written), read_provenance(tables.path(name))
        first = [index for index, image in enumerate(table["image_id"].to_pylist()) if image in first_images(worked)]
        others = [index for index in range(len(table)) if index not in first]
        parts[name] = [tmp_path / f"{name}-{part}.parquet" for part in (0, 1)]
        for path, rows in zip(parts[name], (first, others), strict=True):
            write_table(path, written, table.take(rows), told)
    path = tmp_path / "scores.parquet"
    options, maps = plan().options("score_saliency"), [*parts["saliency"], *parts["attributed"]]
    score_saliency(options, "code", parts["images"], maps, tables.path("scores"), "small", path)
    found = {row["row_id"]: row for row in read_table(path, "scores").to_pylist()}
    assert found == worked.rows["score_saliency"]


def first_images(worked):
    return [row["image_id"] for row in worked.rows["sample"].values()][:3]
