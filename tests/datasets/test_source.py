import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets import kind, manifest
from pipeline.datasets.files import file_digest, list_files
from pipeline.datasets.source import in_order, safe_id
from pipeline.errors import UserError

names = st.text(st.sampled_from("aB1-._ ~é/\n"), min_size=1, max_size=8)


@given(st.sets(names))
def test_different_paths_have_different_safe_ids(paths):
    ids = {safe_id(path) for path in paths}
    assert len(ids) == len(paths) and all(re.fullmatch(r"[A-Za-z0-9._~-]+", image_id) for image_id in ids)


def test_usual_paths_stay_readable():
    assert safe_id("cats/2020/img-01.jpg") == "cats--2020--img-01.jpg"
    assert re.fullmatch(r"my_cat~[0-9a-f]{12}", safe_id("my cat"))


def test_a_very_long_path_has_a_short_id():
    assert len(safe_id("a" * 1000)) < 140 and safe_id("a" * 1000) != safe_id("a" * 1001)


@given(st.sets(names, min_size=1), st.sets(names), st.integers(0, 3))
def test_new_images_never_move_the_others(there, new, seed):
    grown = in_order(there | new, seed)
    assert [name for name in grown if name in there] == in_order(there, seed)


def test_another_seed_gives_another_order():
    ids = [str(number) for number in range(20)]
    assert in_order(ids, 1) == in_order(reversed(ids), 1) != in_order(ids, 2)


def test_files_are_found_below_links_but_not_in_circles(tmp_path):
    (tmp_path / "there" / "deep").mkdir(parents=True)
    (tmp_path / "there" / "deep" / "a.png").touch()
    (tmp_path / "there" / ".hidden.png").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "there")
    (tmp_path / "there" / "deep" / "back").symlink_to(tmp_path / "folder")
    assert list_files(tmp_path / "folder") == ["link/deep/a.png"]


def test_a_manifest_notices_added_renamed_and_edited_files(pets):
    options = {"folder": str(pets)}
    seen = [manifest(options)]
    image = pets / "cats" / "01.png"
    image.write_bytes(image.read_bytes() + b"\0")
    seen.append(manifest(options))
    image.rename(pets / "cats" / "one.png")
    seen.append(manifest(options))
    (pets / "cats" / "new.png").write_bytes(b"1")
    seen.append(manifest(options))
    assert len(set(seen)) == 4 and manifest(options) == seen[-1]


def test_a_manifest_names_path_size_and_sha256(pets):
    image = pets / "cats" / "01.png"
    entry = {"path": image.as_posix(), "size": image.stat().st_size, "sha256": file_digest(image)}
    assert entry in json.loads(manifest({"folder": str(pets)}))


def test_a_manifest_covers_labels_and_masks_outside_the_folder(tmp_path, pets):
    labels, masks = tmp_path / "labels.csv", tmp_path / "masks"
    masks.mkdir()
    labels.write_text("file,label\n")
    options = {"folder": str(pets), "labels": str(labels), "masks": str(masks)}
    before = manifest(options)
    (masks / "01.png").write_bytes(b"1")
    middle = manifest(options)
    labels.write_text("file,name\n")
    assert len({before, middle, manifest(options)}) == 3


def test_what_reads_no_files_has_an_empty_manifest():
    assert json.loads(manifest({"world": "shapes"})) == json.loads(manifest({"digits": "scikit-learn"})) == []


def test_a_dataset_is_of_exactly_one_kind():
    assert kind({"folder": "pets", "world": None}) == "folder"
    with pytest.raises(UserError, match="names no kind of images; write exactly one of digits, folder"):
        kind({"size": 64})
    with pytest.raises(UserError, match="names folder and world; write exactly one"):
        kind({"world": "shapes", "folder": "pets"})
