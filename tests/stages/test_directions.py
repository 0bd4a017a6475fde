"""Directions of a classifier: codes, the search, where images are led, and the maps of what changes there."""

import numpy as np
import pytest
import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import log_odds
from pipeline.diffusion.autoencoder import Codes
from pipeline.diffusion.load import load_generator
from pipeline.errors import UserError
from pipeline.images import content, decode_png, from_tensor, to_tensor
from pipeline.metrics.truth_maps import truth_mass
from pipeline.stages.attribute import spread
from pipeline.stages.led import Led, whole_codes
from pipeline.tables import read_table, unpack
from pipeline.workflow.fitting import check_methods
from tests.stages.conftest import bright_entry, study_maker
from tests.workflow.conftest import write_autoencoder, write_generator

SHARED = {"autoencoder": "dae", "encode_steps": 4, "decode_steps": 2, "images": 8, "calibration": 3, "longest": 150}
METHODS = {
    "g": {"method": "gcd", "decodes": 17, "halvings": 3, **SHARED},
    "h": {"method": "gcd", "kind": "h", "axes": 2, "decodes": 17, **SHARED},
    "random": {"method": "random-direction", "rows": 1, **SHARED},
    "linear": {"method": "linear-direction", **SHARED},
}
WALK = {"method": "bb-lig", "direction": "g", "steps": 9, "points": 7, "longest": 150, "threshold": 0.4}
ATTRIBUTIONS = {
    "complete": {**WALK, "formula": "complete"},
    "published": {**WALK, "rows": 2},
    "short": {**WALK, "longest": 1e-6},
}
SPLIT = '''
import torch


def load():
    """Class 1 where the upper half is brighter than it is on average among portraits that were restored."""
    def logits(images):
        evidence = 400 * (images[:, :, :8].mean((1, 2, 3)) - MIDDLE)
        return torch.stack([-evidence, evidence], 1)

    return logits
'''


def maker(folder):
    """Makes a study of portraits, with directions for a classifier of the brightness that codes change."""
    write_autoencoder(folder / "dae.safetensors")
    study = study_maker(folder, bright_entry(folder))

    def make(methods=METHODS, middle=0.5, split="test", **sections):
        sections = {"attributions": ATTRIBUTIONS, **sections}
        (folder / "upper.py").write_text(SPLIT.replace("MIDDLE", str(middle)), encoding="utf-8")
        entry = {"entry_point": f"{folder}/upper.py:load", "task": "smile", "classes": ["absent", "present"]}
        values = {"classifiers": {"upper": entry}, "generators": {"dae": {"file": str(folder / "dae.safetensors")}}}
        return study({"rows": 4, "split": split}, **{**values, "directions": methods, "explained_rows": 3, **sections})

    return make


def run(tables):
    tables.sample()
    tables.predict()
    tables.encode()
    tables.directions("upper")
    tables.transfer("upper")
    tables.attribute("upper")
    return tables


@pytest.fixture
def make(tmp_path):
    return maker(tmp_path)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """The study with the usual methods, made once for the tests that read it; half of the images are of each class."""
    make = maker(tmp_path_factory.mktemp("usual"))
    first = make()
    first.sample()
    first.predict()
    first.directions("upper")
    restored = [row["semantic"] is not None for row in read_table(first.path("searched"), "codes").to_pylist()]
    assert all(restored)
    return run(make(middle=brightness_of_restored(first)))


def brightness_of_restored(tables):
    """The median brightness of the upper half of images that are encoded and decoded."""
    autoencoder = autoencoder_of(tables)
    rows = read_table(tables.path("searched"), "codes").to_pylist()
    images = autoencoder.decode(codes_of(rows), SHARED["decode_steps"])
    return float(images[:, :, :8].mean((1, 2, 3)).median())


def autoencoder_of(tables):
    return load_generator("dae", tables.plan.entry("dae"), "autoencoder")


def codes_of(rows):
    noise = [unpack("codes", "noise", row["noise"], row["shape"]).astype(np.float32) for row in rows]
    return Codes(torch.tensor([row["semantic"] for row in rows]), torch.from_numpy(np.stack(noise)))


def of(rows, method):
    return [row for row in rows if row["method"] == method]


def test_codes_are_those_of_the_images_and_say_how_well_they_restore_them(tables):
    rows, images = tables.rows("codes"), tables.rows("images")[:3]
    assert [row["image_id"] for row in rows] == [row["image_id"] for row in images]  # one encoding for all methods
    autoencoder = autoencoder_of(tables)
    shown = torch.nn.functional.interpolate(
        to_tensor([decode_png(row["image"]["bytes"]) for row in images]), size=16, mode="bilinear", antialias=True
    )
    expected = autoencoder.encode(shown, 4)
    torch.testing.assert_close(codes_of(rows).semantic, expected.semantic, atol=0.02, rtol=0.02)
    errors = (autoencoder.decode(codes_of(rows), 2) - shown).square().flatten(1).mean(1)
    assert [row["reconstruction_error"] for row in rows] == pytest.approx(errors.tolist(), abs=2e-3)
    assert {row["network_evaluations"] for row in rows} == {1 + 4 + 2}


def test_directions_are_found_on_images_of_another_split(tables):
    searched = read_table(tables.path("searched"), "codes").to_pylist()
    assert len(searched) == 8 and all("search" in row["image_id"] for row in searched)
    assert not {row["image_id"] for row in searched} & {row["image_id"] for row in tables.rows("images")}
    assert all(content(decode_png(row["image"]["bytes"])) == row["content"] for row in searched)
    assert all(row["source_image_id"] in {each["image_id"] for each in searched} for row in tables.rows("directions"))


def test_each_method_has_a_direction_of_length_1_between_two_classes(tables):
    rows = tables.rows("directions")
    assert [row["method"] for row in rows] == list(METHODS)
    assert [row["kind"] for row in rows] == ["g", "h", "random", "linear"]
    for row in rows:
        assert np.linalg.norm(row["vector"]) == pytest.approx(1, abs=1e-5) and row["unit"] > 0
        assert {row["target"], row["origin"]} == {0, 1}
    codes = codes_of(read_table(tables.path("searched"), "codes").to_pylist()).semantic
    assert rows[0]["unit"] == pytest.approx(float((codes @ torch.tensor(rows[0]["vector"])).std()), rel=1e-4)


def test_decodes_and_evaluations_are_counted(tables):
    rows = {row["method"]: row for row in tables.rows("directions")}
    marks = 1 + 5
    assert rows["g"]["decodes"] == 17 + 3 * marks and rows["h"]["decodes"] == 17 + 3 * (1 + 4 * 5)
    assert rows["random"]["decodes"] == 3 * marks
    for row in rows.values():
        assert row["network_evaluations"] == 8 + (row["decodes"] + 7) * (1 + 2)


def test_both_kinds_share_their_probes(tables):
    # g: 17 probes, then 3 images in their place, which all share, and at 5 marks; h: those of four directions.
    assert tables.cost("directions")["rows_computed"] == (17 + 3 * 6) + 3 * 4 * 5 + 2 * 3 * 6


def test_images_are_led_along_the_direction_to_where_the_classifier_decides_otherwise(tables):
    rows = read_table(tables.path("transferred"), "counterfactuals").to_pylist()
    direction, codes = tables.rows("directions")[0], {row["image_id"]: row for row in tables.rows("codes")}
    decided = {row["source_row_id"]: row["predicted"] for row in tables.rows("predictions")}
    autoencoder, led = autoencoder_of(tables), of(rows, "g")
    assert [row["image_id"] for row in led] == [row["image_id"] for row in tables.rows("images")[:3]]
    for row in led:
        towards = 1 if row["target"] == direction["target"] else -1
        move = torch.tensor(direction["vector"]) * (direction["unit"] * row["strength"] * towards)
        start = codes_of([codes[row["image_id"]]])
        expected = from_tensor(autoencoder.decode(Codes(start.semantic + move, start.noise), 2))[0]
        image = decode_png(row["image"]["bytes"])
        assert np.abs(image.astype(int) - expected.astype(int)).max() <= 1
        assert row["target"] == 1 - decided[row["image_id"]] and row["direction"] == direction["row_id"]
        assert row["flipped"] == (row["predicted"] == row["target"]) and row["content"] == content(image)
    assert any(row["flipped"] and row["strength"] > 0 for row in led)


def test_a_method_explains_so_many_images_as_it_is_given(tables):
    rows = read_table(tables.path("transferred"), "counterfactuals").to_pylist()
    assert {name: len(of(rows, name)) for name in METHODS} == {"g": 3, "h": 3, "random": 1, "linear": 3}


def test_the_second_time_nothing_is_made(make):
    tables = run(make({"g": METHODS["g"]}))
    names = ("codes", "searched", "directions", "transferred", "attributed")
    written = [tables.path(name).read_bytes() for name in names]
    run(tables)
    assert [tables.cost(name)["rows_computed"] for name in names] == [0] * len(names)
    assert [tables.path(name).read_bytes() for name in names] == written


def test_a_classifier_that_nothing_moves_has_a_failed_direction_and_failed_rows(make, tmp_path):
    tables = make({"g": METHODS["g"]}, middle=-100)
    tables.sample()
    tables.predict()
    tables.encode()
    (tmp_path / "upper.py").write_text(SPLIT.replace("400", "0").replace("MIDDLE", "0"), encoding="utf-8")
    tables.predict()
    (row,) = tables.directions("upper")
    assert row["status"] == "failed" and "there is no direction" in row["reason"] and row["vector"] is None
    led = tables.transfer("upper")
    assert [each["status"] for each in led] == ["failed"] * 3 and {each["reason"] for each in led} == {row["reason"]}
    maps = tables.attribute("upper")
    assert [each["status"] for each in maps] == ["failed"] * (3 + 2 + 3)
    assert {each["reason"] for each in maps} == {row["reason"]} and {each["map"] for each in maps} == {None}


def maps_of(tables, method):
    rows = of(read_table(tables.path("attributed"), "saliency").to_pylist(), method)
    return rows, [unpack("saliency", "map", row["map"], row["shape"]) for row in rows]


def test_a_complete_map_adds_up_to_what_the_way_takes_from_the_class_that_is_explained(tables):
    rows, maps = maps_of(tables, "complete")
    direction, codes = tables.rows("directions")[0], {row["image_id"]: row for row in tables.rows("codes")}
    decided = {row["source_row_id"]: row["predicted"] for row in tables.rows("predictions")}
    autoencoder = autoencoder_of(tables)
    judged = load_classifier("upper", tables.plan.entry("upper"), seed=tables.plan.study.seed)
    assert [row["image_id"] for row in rows] == [row["image_id"] for row in tables.rows("images")[:3]]
    for row, map in zip(rows, maps, strict=True):
        away = -1 if row["target"] == direction["target"] else 1
        move = torch.tensor(direction["vector"]) * (direction["unit"] * row["strength"] * away)
        start = codes_of([codes[row["image_id"]]])
        way = Codes(torch.cat([start.semantic, start.semantic + move]), start.noise.expand(2, -1, -1, -1))
        shown = to_tensor(list(from_tensor(autoencoder.decode(way, 2))))
        first, last = log_odds(judged(shown), torch.tensor([row["target"]] * 2)).tolist()
        assert row["target"] == decided[row["image_id"]] and map.shape == (32, 32)
        assert map.sum() == pytest.approx(first - last, rel=1e-3, abs=1e-3) and torch.tensor(last).sigmoid() < 0.4
    assert any(row["strength"] > 0 and map.sum() > 1 for row, map in zip(rows, maps, strict=True))


def test_formulas_share_a_walk_and_make_other_maps_of_it(tables):
    (complete, complete_maps), (published, published_maps) = (
        maps_of(tables, name) for name in ("complete", "published")
    )
    for row, other in zip(published, complete, strict=False):
        assert (row["image_id"], row["strength"]) == (other["image_id"], other["strength"])
    assert len(published) == 2 and not np.allclose(published_maps, complete_maps[:2])


def test_where_the_class_stays_all_the_way_the_map_is_0_and_has_no_score(tables):
    rows, maps = maps_of(tables, "short")
    staying = [place for place, row in enumerate(rows) if row["strength"] is None]
    assert staying and not any(maps[place].any() for place in staying)
    assert {rows[place]["network_evaluations"] for place in staying} == {9 * (1 + 2)}
    upper = np.zeros((32, 32), bool)
    upper[:16] = True
    assert not truth_mass(np.stack([maps[place] for place in staying]), np.stack([upper] * len(staying))).scored.any()


def test_what_attributions_take_is_counted(tables):
    rows, _ = maps_of(tables, "complete")
    (job,) = tables.plan.jobs("attribute")
    assert {row["network_evaluations"] for row in rows} == {(9 + 7) * (1 + 2)}
    assert [each.evaluations for each in job.takes.passes] == [rows * (9 + 7) * (1 + 2) for rows in (3, 2, 3)]
    assert job.takes.rows == len(read_table(tables.path("attributed"), "saliency"))


def test_images_of_the_class_that_a_direction_leads_to_go_the_other_way():
    led = Led("upper/g", target=0, origin=2, vector=torch.tensor([0.6, 0.8]), unit=10.0, reason=None)
    assert [led.target_of(explained) for explained in (0, 1, 2)] == [2, 0, 0]
    torch.testing.assert_close(led.moves(torch.tensor([2, 0])), torch.tensor([[-6.0, -8.0], [6.0, 8.0]]))


def test_an_image_that_was_not_encoded_has_a_failed_row_with_the_reason(tables):
    code = {"status": "failed", "reason": "the code is not finite"}
    whole = read_table(tables.path("codes"), "codes").to_pylist()[0]
    rows, places, codes = whole_codes([{"code": code}, {"code": whole}])
    assert rows[0] == code and places == [1] and codes.semantic.tolist() == [whole["semantic"]]
    assert whole_codes([{"code": code}]) == ([code], [], None)


def test_a_map_of_the_middle_of_an_image_keeps_its_sum_and_leaves_the_sides():
    map = np.arange(16, dtype=np.float32).reshape(4, 4)
    whole = spread(map, (8, 14))
    assert whole.shape == (8, 14) and whole.sum() == pytest.approx(map.sum())
    assert not whole[:, :3].any() and not whole[:, 11:].any() and whole[:, 3:11].any(0).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "presnt"}, "directions.g.target: upper: 'presnt' is none of the 2 classes; did you mean 'present'"),
        (
            {"encode_steps": 333},
            "directions.g.encode_steps: 333 steps do not divide a schedule of 1000",
        ),
        (
            {"autoencoder": "adm"},
            "directions.g.autoencoder: generator 'adm' is a diffusion model; name a diff",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(changes, message, make, tmp_path):
    write_generator(tmp_path / "adm.safetensors")
    name = changes.get("autoencoder", "dae")
    generators = {name: {"file": str(tmp_path / f"{name}.safetensors")}}
    with pytest.raises(UserError, match=message.replace(".", r"\.")):
        check_methods(make({"g": {**METHODS["g"], **changes}}, generators=generators).plan)


def test_directions_are_never_scored_on_the_images_that_they_were_found_on(make):
    with pytest.raises(UserError, match="would be scored on the images that they were found on; set it to test"):
        check_methods(make(split="search").plan)
