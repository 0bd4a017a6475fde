import shutil

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets import open_dataset
from pipeline.datasets.sampling import sample
from pipeline.datasets.splits import SPLITS
from pipeline.errors import UserError
from pipeline.images import content

EVERYTHING = {"shares": {"test": 1}, "size": None}


def opened(folder, split="test", seed=1, **options):
    return open_dataset({"folder": str(folder), **EVERYTHING, **options}, split, seed)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def by_id(source):
    return {image_id: source.read(image_id) for image_id in source.ids}


def test_sub_folders_are_classes_in_alphabetical_order(pets):
    source = opened(pets)
    assert source.tasks == {"label": ("cats", "dogs")}
    samples = by_id(source)
    assert len(samples) == 12
    assert samples["cats--01.png"].attributes == {"label": 0} and samples["dogs--02.png"].attributes == {"label": 1}
    assert source.labels("dogs--02.png") == {"label": 1}
    assert np.array_equal(samples["cats--01.png"].image, np.array(Image.open(pets / "cats" / "01.png")))


def test_classes_fix_the_order_and_may_name_what_is_not_there(pets):
    source = opened(pets, task="pet", classes=["fox", "dogs", "cats"])
    assert source.tasks == {"pet": ("fox", "dogs", "cats")}
    assert source.labels("cats--01.png") == {"pet": 2}


def test_folders_named_like_numbers_keep_their_names(tmp_path, save_image):
    for name in ("10", "9", "1.0"):
        save_image(tmp_path / "deep" / name / "more" / "a.png")
    source = opened(tmp_path / "deep")
    assert source.tasks == {"label": ("1.0", "10", "9")} and source.labels("9--more--a.png") == {"label": 2}


def test_a_sub_folder_outside_the_classes_is_an_error(pets):
    with pytest.raises(
        UserError, match=r'label "cats" in the file cats/01.png, which is no class \(did you mean "cat"'
    ):
        opened(pets, classes={"label": ["cat", "dogs"]})


def test_without_labels_images_have_no_attributes(tmp_path, save_image):
    save_image(tmp_path / "loose.jpg", size=(5, 4))
    source = opened(tmp_path, labels="none")
    image = source.read("loose.jpg")
    assert source.tasks == {} and image.attributes == {} and image.image.shape == (4, 5, 3)


def test_a_loose_image_among_class_folders_is_an_error(pets, save_image):
    save_image(pets / "loose.png")
    with pytest.raises(UserError, match=r"loose.png lies in no sub-folder, which would be its label; move it"):
        opened(pets)


def test_a_broken_file_is_a_sample_with_a_reason(pets):
    (pets / "cats" / "01.png").write_bytes(b"")
    (pets / "cats" / "03.png").write_bytes((pets / "cats" / "05.png").read_bytes()[:100])
    samples = by_id(opened(pets))
    empty, cut = samples["cats--01.png"], samples["cats--03.png"]
    assert empty.image is None and "cats/01.png: the file is empty (0 bytes)" in empty.reason
    assert cut.image is None and "decoded" in cut.reason and cut.attributes == {"label": 0}
    assert sum(image.image is not None for image in samples.values()) == 10


def test_copies_of_a_file_lie_in_one_split_and_show_by_their_content(pets):
    for index in range(1, 12, 2):
        shutil.copy(pets / "cats" / f"{index:02d}.png", pets / "dogs" / f"copy{index:02d}.png")
    options = {"shares": {"train": 0.4, "search": 0.3, "test": 0.3}}
    contents = [{content(image.image) for image in by_id(opened(pets, split, **options)).values()} for split in SPLITS]
    assert sum(map(len, contents)) == len(set().union(*contents)) == 12
    samples = by_id(opened(pets))
    assert content(samples["cats--01.png"].image) == content(samples["dogs--copy01.png"].image)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32))
def test_new_images_leave_splits_and_the_order_of_the_others_alone(tmp_path_factory, save_image, number):
    folder = tmp_path_factory.mktemp("growing") / "all"
    noise = np.random.default_rng(number)
    for index in range(6):
        save_image(folder / f"{index}.png", pixels=noise.integers(0, 256, (2, 2, 3), np.uint8))
    options = {"labels": "none", "shares": {"train": 0.5, "search": 0.2, "test": 0.3}}
    before = {split: list(opened(folder, split, **options).ids) for split in SPLITS}
    there = {image_id for split in SPLITS for image_id in before[split]}
    assert sorted(there) == [f"{index}.png" for index in range(6)] and sum(map(len, before.values())) == 6
    for index in range(6, 9):
        save_image(folder / f"{index}.png", pixels=noise.integers(0, 256, (2, 2, 3), np.uint8))
    for split in SPLITS:
        after = list(opened(folder, split, **options).ids)
        assert [image_id for image_id in after if image_id in there] == before[split]


def test_only_the_chosen_images_are_decoded(pets):
    for path in pets.glob("*/*.png"):
        path.chmod(0o644)
    source = opened(pets)
    first = list(source.ids)[:2]
    for path in pets.glob("*/*.png"):
        if f"{path.parent.name}--{path.name}" not in first:
            path.unlink()
    assert [image.image_id for image in sample(source, 2)] == first


def test_the_order_depends_on_the_seed(pets):
    assert list(opened(pets, seed=1).ids) == list(opened(pets, seed=1).ids) != list(opened(pets, seed=2).ids)


def test_images_boxes_and_masks_are_transformed_together(tmp_path, save_image):
    pixels = np.zeros((10, 20, 3), np.uint8)
    pixels[4:6, 8:12] = 255
    save_image(tmp_path / "photos" / "a.png", pixels=pixels)
    save_image(tmp_path / "masks" / "a.png", pixels=pixels[:, :, 0])
    labels = write(tmp_path / "labels.csv", "file,label,x0,y0,x1,y1,box_label", "a.png,cat,8,4,12,6,nose")
    image = opened(tmp_path / "photos", labels=labels, masks=str(tmp_path / "masks"), size=5).read("a.png")
    assert image.image.shape == (5, 5, 3) and image.boxes == [(2.0, 2.0, 4.0, 3.0, "nose")]
    assert np.argwhere(image.parts["object"]).tolist() == [[2, 2], [2, 3]]
    assert image.image[2, 2, 0] == image.image[2, 3, 0] == image.image.max() > 100


def test_a_turned_photograph_meets_its_upright_box(tmp_path, save_image):
    upright = np.zeros((8, 16, 3), np.uint8)
    upright[0:4, 8:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    save_image(tmp_path / "photos" / "a.png", pixels=np.rot90(upright).copy(), exif=exif)
    boxes = write(tmp_path / "boxes.csv", "file,x0,y0,x1,y1", "a.png,8,0,16,4")
    image = opened(tmp_path / "photos", labels="none", boxes=boxes).read("a.png")
    x0, y0, x1, y1, label = image.boxes[0]
    assert label == "object" and image.image[int(y0) : int(y1), int(x0) : int(x1)].min() == 255
    assert image.image.sum() == 255 * 3 * (x1 - x0) * (y1 - y0)


def test_an_image_may_have_several_boxes_or_none(tmp_path, pets):
    lines = ["cats/01.png,0,0,4,4,a", "cats/01.png,4,4,8,8,b", "cats/03.png,,,,,"]
    boxes = write(tmp_path / "boxes.csv", "file,x0,y0,x1,y1,box_label", *lines)
    source = opened(pets, boxes=boxes)
    assert [box[4] for box in source.read("cats--01.png").boxes] == ["a", "b"]
    assert source.read("cats--03.png").boxes == source.read("cats--05.png").boxes == []


def test_masks_inside_the_folder_are_no_class_of_images(pets, save_image):
    save_image(pets / "masks" / "cats" / "01.png")
    source = opened(pets, masks=str(pets / "masks"))
    assert source.tasks["label"] == ("cats", "dogs")
    assert source.read("cats--01.png").parts["object"].all() and source.read("cats--03.png").parts == {}


def test_a_mask_of_another_size_is_a_reason_and_not_a_guess(pets, save_image):
    save_image(pets.parent / "masks" / "cats" / "01.png", size=(9, 8))
    image = opened(pets, masks=str(pets.parent / "masks")).read("cats--01.png")
    assert image.image is None and "has 9 x 8 pixels, the upright image 8 x 8" in image.reason


def test_masks_that_belong_to_no_image_are_an_error(pets, save_image):
    save_image(pets.parent / "masks" / "01.png")
    with pytest.raises(
        UserError, match=r"no mask in .*masks belongs to an image; name them .* for example cats/01.png"
    ):
        opened(pets, masks=str(pets.parent / "masks"))


def test_a_column_can_say_the_split(pets):
    lines = [f"{path.relative_to(pets)},{'fit' if index < 8 else 'judge'}" for index, path in pets_in(pets)]
    labels = write(pets / "labels.csv", "file,part", *lines)
    options = {"labels": labels, "label_columns": [], "split_column": "part", "shares": {"train": 0.5, "search": 0.5}}
    options["splits"] = {"train": "fit", "search": "fit", "test": "judge"}
    train, search, test = (list(opened(pets, split, **options).ids) for split in SPLITS)
    assert len(test) == 4 and len(train) + len(search) == 8 and not set(train) & set(search)


def pets_in(folder):
    return enumerate(sorted(folder.glob("*/*.png")))


@pytest.mark.parametrize("ending", ["jpg", "PNG", "webp", "bmp", "tiff"])
def test_endings_of_any_case_are_found(tmp_path, save_image, ending):
    save_image(tmp_path / "x" / f"a.{ending}")
    (tmp_path / "x" / "notes.txt").write_text("not an image")
    assert list(opened(tmp_path).ids) == [f"x--a.{ending}"]


def test_folders_that_hold_nothing_usable_say_so(tmp_path):
    with pytest.raises(UserError, match=r"photos does not exist; set dataset.folder to the path of a folder of images"):
        opened(tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match=r"photos holds no images; put files into it whose names end in one of .bmp"):
        opened(tmp_path / "photos")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file is a file; set dataset.folder"):
        opened(tmp_path / "file")


def test_too_few_images_of_a_split_are_counted(pets):
    there = len(list(opened(pets, "train", shares={"train": 0.5, "test": 0.5}).ids))
    with pytest.raises(UserError, match=rf"pets \(split train\) has {there} images, but 50 are needed"):
        sample(opened(pets, "train", shares={"train": 0.5, "test": 0.5}), 50)
