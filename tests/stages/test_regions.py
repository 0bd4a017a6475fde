"""Counterfactuals that may change a region alone: where it comes from, and that a row is of its region."""

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.transform import fit, fit_mask
from pipeline.errors import UserError
from pipeline.images import decode_mask, decode_png
from pipeline.stages.regions import of_map
from pipeline.tables import pack, unpack
from tests.workflow.conftest import write_generator

GUIDED = {"method": "region-guidance", "generator": "adm", "steps": 4, "skip": 1}
MASKED = {"method": "maskdime", "generator": "adm", "steps": 6, "start": 2, "scales": [4.0], "spread": 3}
PARTS = {"parts": ["smile", "hat"]}


@pytest.fixture
def made(study, tmp_path):
    """A study of two portraits whose maps and counterfactuals are made; rows are stored for all of a test."""
    write_generator(tmp_path / "adm.safetensors")

    def make(methods, **sections):
        generators = {"adm": {"file": str(tmp_path / "adm.safetensors")}}
        tables = study({"rows": 2}, generators=generators, counterfactuals=methods, **sections)
        tables.sample()
        tables.predict()
        if sections.get("saliency"):
            tables.saliency("bright")
        tables.counterfactuals("bright")
        return tables

    return make


@pytest.fixture
def drawing(tmp_path):
    """A file of twice the images' size that marks their upper half."""
    path = tmp_path / "upper.png"
    pixels = np.zeros((64, 64), np.uint8)
    pixels[:32] = 255
    Image.fromarray(pixels).save(path)
    return path


def changed_and_region(tables, region_of):
    """For each counterfactual the pixels that changed, and the region that was named, both at the generator's size."""
    images = {row["image_id"]: row for row in tables.rows("images")}
    for row in tables.rows("counterfactuals"):
        source = images[row["image_id"]]
        before, after = fit(decode_png(source["image"]["bytes"]), 16), decode_png(row["image"]["bytes"])
        yield (before != after).any(axis=2), fit_mask(region_of(source), 16)


def union(source):
    parts = {part["concept"]: decode_mask(part["mask"]) for part in source["parts"]}
    return parts["smile"] | parts["hat"]


@pytest.mark.parametrize("method", [GUIDED, MASKED], ids=["region-guidance", "maskdime"])
def test_only_the_parts_that_are_named_change(made, method):
    tables = made({"it": {**method, "region": PARTS}})
    for changed, region in changed_and_region(tables, union):
        assert region.any() and not (changed & ~region).any() and changed[region].mean() > 0.5


def test_a_part_of_the_region_may_stay(made):
    tables = made({"it": {**GUIDED, "region": PARTS, "immutable": ["hat"]}})
    hats = {
        row["image_id"]: dict((part["concept"], part["mask"]) for part in row["parts"])["hat"]
        for row in tables.rows("images")
    }
    for changed, region in changed_and_region(
        tables, lambda source: union(source) & ~decode_mask(hats[source["image_id"]])
    ):
        assert region.any() and not (changed & ~region).any()


def test_the_region_of_a_map_is_where_it_is_highest(made):
    maps = {"grey": {"method": "gradient"}, "parts": {"method": "occlusion"}}
    tables = made({"it": {**GUIDED, "region": {"saliency": "parts", "share": 0.25}}}, saliency=maps)
    rows = {row["image_id"]: row for row in tables.rows("saliency") if row["method"] == "parts"}

    def highest(source):
        row = rows[source["image_id"]]
        values = unpack("saliency", "map", row["map"], row["shape"])
        assert values.shape == (32, 32)
        order = sorted(range(1024), key=lambda place: (-values.ravel()[place], place))
        return np.isin(np.arange(1024).reshape(32, 32), order[:256])

    for changed, region in changed_and_region(tables, highest):
        assert region.any() and not (changed & ~region).any() and changed[region].mean() > 0.5


def test_a_coarse_map_is_spread_over_the_image_and_equal_pixels_are_taken_in_their_order():
    row = {"status": "ok", "map": pack("saliency", "map", np.array([[0, 1], [0, 0]], np.float32)), "shape": [2, 2]}
    region = of_map("it", row, {"image_id": "a"}, 0.25, (4, 4))
    assert region.sum() == 4 and region[:2, 2:].all()
    flat = {**row, "map": pack("saliency", "map", np.zeros((2, 2), np.float32))}
    assert of_map("it", flat, {"image_id": "a"}, 0.25, (4, 4))[0].all()


def test_a_drawing_marks_the_same_pixels_of_all_images(made, drawing):
    tables = made({"it": {**GUIDED, "region": {"drawn": str(drawing)}}})
    upper = np.arange(32)[:, None].repeat(32, 1) < 16
    for changed, region in changed_and_region(tables, lambda source: upper):
        assert not (changed & ~region).any() and changed[region].mean() > 0.5


def test_a_drawing_in_other_proportions_is_refused(made, tmp_path):
    Image.fromarray(np.full((20, 40), 255, np.uint8)).save(tmp_path / "wide.png")
    with pytest.raises(UserError, match=r"wide.png has 40 x 20 pixels and the image \S+ 32 x 32; draw it in"):
        made({"it": {**GUIDED, "region": {"drawn": str(tmp_path / "wide.png")}}})


def test_a_row_is_of_its_region_however_that_is_named(made, drawing):
    drawn = {"it": {**GUIDED, "region": {"drawn": str(drawing)}}}
    assert made(drawn).cost("counterfactuals")["rows_computed"] == 2
    assert made(drawn).cost("counterfactuals")["rows_computed"] == 0
    same = drawing.with_name("renamed.png")
    same.write_bytes(drawing.read_bytes())
    assert made({"it": {**GUIDED, "region": {"drawn": str(same)}}}).cost("counterfactuals")["rows_computed"] == 0
    Image.fromarray(255 - np.asarray(Image.open(drawing))).save(drawing)
    other = made(drawn)
    assert other.cost("counterfactuals")["rows_computed"] == 2
    lower = np.arange(32)[:, None].repeat(32, 1) >= 16
    for changed, region in changed_and_region(other, lambda source: lower):
        assert not (changed & ~region).any() and changed.any()
