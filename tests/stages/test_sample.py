from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.source import in_order
from pipeline.errors import UserError
from pipeline.images import decode_png
from pipeline.stages.sample import sample
from pipeline.tables import read_table


def is_bright(row):
    """What the classifier `brightness` answers, worked out from the pixels."""
    return int(decode_png(row["image"]["bytes"]).mean() > 255 / 2)


def labels(rows):
    return [dict(row["attributes"])["smile"] for row in rows]


def save_noise(folder, names, sides=(16, 16)):
    """Images that all differ, in the folders that their names begin with."""
    noise = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise.integers(0, 256, (*sides, 3), np.uint8)).save(folder / name)


def test_only_images_that_the_classifier_gets_right_are_taken(study):
    everything = study({"rows": 8}).sample()
    assert {label == is_bright(row) for label, row in zip(labels(everything), everything, strict=True)} == {True, False}
    right = study({"rows": 8, "correct": ["bright"]}).sample()
    assert labels(right) == [is_bright(row) for row in right]
    kept = [row["image_id"] for row in everything if row in right]
    assert [row["image_id"] for row in right][: len(kept)] == kept


def test_classes_get_equal_numbers_of_images(study):
    rows = study({"rows": 6, "per_class": "smile"}).sample()
    assert Counter(labels(rows)) == {0: 3, 1: 3}
    rows = study({"rows": 8, "per_class": "hair"}).sample()
    assert Counter(dict(row["attributes"])["hair"] for row in rows) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_equal_numbers_of_right_images_of_every_class(study):
    rows = study({"rows": 6, "per_class": "smile", "correct": ["bright"]}).sample()
    assert Counter(labels(rows)) == {0: 3, 1: 3}
    assert labels(rows) == [is_bright(row) for row in rows]


def test_equal_studies_give_equal_bytes(study):
    first = study({"rows": 3})
    first.sample()
    once = first.path("images").read_bytes()
    first.sample()
    assert first.path("images").read_bytes() == once


def test_a_broken_image_stands_in_the_part_where_it_was_met_and_does_not_count(study, tmp_path):
    names = [f"{kind}/{index}.png" for kind in ("cats", "dogs") for index in range(3)]
    save_noise(tmp_path / "pets", names)
    order = in_order([name.replace("/", "--") for name in names], seed=2026)
    broken = order[1]
    (tmp_path / "pets" / broken.replace("--", "/")).write_bytes(b"no image")
    dataset = {"folder": str(tmp_path / "pets"), "size": 16, "rows": 5, "shares": {"test": 1}}
    pets = study(dataset, shard_rows=3)
    parts = [tmp_path / "tiny" / f"part-{part}.parquet" for part in (0, 1)]
    sample(pets.plan.options("sample"), "code", parts)
    first, second = ([row["image_id"] for row in read_table(part, "images").to_pylist()] for part in parts)
    assert (first, second) == (order[:4], order[4:])
    failed = [row for row in read_table(parts, "images").to_pylist() if row["status"] == "failed"]
    assert [row["image_id"] for row in failed] == [broken]
    assert f"pets/{broken.replace('--', '/')}: the file is no JPEG" in failed[0]["reason"]


def test_too_few_images_are_one_sentence_that_says_how_many_there_are(study, tmp_path):
    save_noise(tmp_path / "pets", ["cats/1.png", "dogs/2.png"])
    pets = study({"folder": str(tmp_path / "pets"), "size": 16, "rows": 5, "shares": {"test": 1}})
    with pytest.raises(UserError, match=r"\b2\b") as error:
        pets.sample()
    assert "\n" not in str(error.value) and not pets.path("images").exists()
