import json

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import complete, manifest, open_dataset
from pipeline.datasets.imagenet import frame, image_files
from pipeline.datasets.sampling import sample
from pipeline.errors import UserError
from pipeline.imagenet import class_names, class_numbers, short_names, wordnet_ids
from tests.datasets.small_imagenet import sort_into_folders, write_imagenet

COUNTS = {293: 3, 970: 2, 209: 1, 0: 1}
TRUTH = [293, 970, 209, 0, 293, 970, 293]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    return write_imagenet(tmp_path_factory.mktemp("imagenet"), COUNTS)


@pytest.fixture(scope="module")
def sorted_photographs(photographs, tmp_path_factory):
    names = {f"ILSVRC2012_val_{place:08d}.JPEG": number for place, number in enumerate(TRUTH, start=1)}
    return sort_into_folders(photographs, names, tmp_path_factory.mktemp("sorted") / "val")


def opened(folder, **options):
    return open_dataset({"imagenet": str(folder), "size": 32, **options}, "test", 1)


def labels(source):
    return {image_id: source.labels(image_id)["label"] for image_id in source.ids}


def test_classes_and_their_names_are_timms_in_the_usual_order():
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    assert list(wordnet_ids()) == info.label_names()
    assert class_names() == short_names(info.label_descriptions(), info.label_names())
    assert class_names()[293] == "cheetah" and wordnet_ids()[293] == "n02130308"
    assert len(set(class_names())) == 1000
    assert class_names()[134] == "crane (n02012849)" and class_names()[517] == "crane (n03126707)"


def test_classes_are_given_by_number_id_or_name():
    assert class_numbers([970, "n02130308", "Labrador retriever"], "here") == [970, 293, 208]


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        (["cheeta"], "here: there is no class 'cheeta' in ImageNet; did you mean 'cheetah'?"),
        ([1000], "here: there is no class '1000' in ImageNet; write a number from 0 to 999"),
        (["n00000000"], "no class 'n00000000' in ImageNet; write a number from 0 to 999, an id such as n02130308"),
        ([293, "cheetah"], r"here names the class 293 \(cheetah\) twice"),
    ],
)
def test_a_class_that_there_is_not_is_told_with_the_nearest(chosen, sentence):
    with pytest.raises(UserError, match=sentence):
        class_numbers(chosen, "here")


def test_the_devkits_own_numbers_become_the_places_of_the_sorted_ids(photographs):
    found = labels(opened(photographs))
    assert found == {f"ILSVRC2012_val_{place:08d}.JPEG": number for place, number in enumerate(TRUTH, start=1)}
    assert opened(photographs).tasks == {"label": class_names()}


def test_published_and_sorted_files_give_the_same_rows(photographs, sorted_photographs):
    published, sorted_ones = opened(photographs), opened(sorted_photographs)
    assert list(published.ids) == list(sorted_ones.ids) and labels(published) == labels(sorted_ones)
    for image_id in published.ids:
        assert np.array_equal(published.read(image_id).image, sorted_ones.read(image_id).image)


@pytest.mark.parametrize("folder", ["photographs", "sorted_photographs"])
def test_all_images_of_the_chosen_classes_are_taken(folder, request):
    source = opened(request.getfixturevalue(folder), classes=["cheetah", 970])
    taken = sample(source, 5)
    assert sorted(image.attributes["label"] for image in taken) == [293, 293, 293, 970, 970]
    with pytest.raises(UserError, match="has 5 images, but 6 are needed"):
        sample(source, 6)


@pytest.mark.parametrize("shape", [(375, 500), (500, 375), (333, 500), (257, 801), (40, 61)])
@pytest.mark.parametrize("size", [256, 224])
def test_the_frame_is_that_of_torchvision(shape, size):
    from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

    pixels = np.random.default_rng(4).integers(0, 256, (*shape, 3), np.uint8)
    published = Compose([Resize(int(size / 0.875), InterpolationMode.BICUBIC), CenterCrop(size)])
    assert int(256 / 0.875) == 292
    assert np.array_equal(frame(pixels, size, 0.875, "bicubic"), np.asarray(published(Image.fromarray(pixels))))


def test_the_devkit_may_lie_elsewhere_and_be_named_by_either_folder(photographs, tmp_path):
    devkit = photographs.parent / "ILSVRC2012_devkit_t12"
    for named in (devkit, devkit / "data"):
        assert len(labels(opened(photographs, devkit=str(named)))) == 7
    with pytest.raises(
        UserError, match=r"meta.mat does not exist.*unpack ILSVRC2012_devkit_t12.tar.gz and set dataset"
    ):
        opened(photographs, devkit=str(tmp_path))


def test_a_broken_image_stands_with_its_reason(photographs, tmp_path):
    folder = sort_into_folders(photographs, {"ILSVRC2012_val_00000001.JPEG": 293}, tmp_path / "val")
    (folder / "n02130308" / "ILSVRC2012_val_00000001.JPEG").write_bytes(b"\xff\xd8\xff\xe0 broken")
    image = opened(folder).read("ILSVRC2012_val_00000001.JPEG")
    assert image.image is None and "ILSVRC2012_val_00000001.JPEG: " in image.reason
    assert image.attributes == {"label": 293}


def test_only_the_files_of_the_chosen_classes_are_read(photographs, sorted_photographs):
    options = {"imagenet": str(photographs), "classes": [970]}
    names = [path.name for path in image_files(complete(options))]
    assert names[:2] == ["meta.mat", "ILSVRC2012_validation_ground_truth.txt"]
    assert names[2:] == ["ILSVRC2012_val_00000002.JPEG", "ILSVRC2012_val_00000006.JPEG"]
    assert len(json.loads(manifest(options))) == 4
    assert [path.name for path in image_files(complete({**options, "imagenet": str(sorted_photographs)}))] == names[2:]


def test_images_lie_in_the_test_part_unless_shares_say_otherwise(photographs):
    assert list(open_dataset({"imagenet": str(photographs), "size": 8}, "train", 1).ids) == []
    parts = [
        set(open_dataset({"imagenet": str(photographs), "shares": {"train": 0.5, "test": 0.5}}, part, 1).ids)
        for part in ("train", "test")
    ]
    assert not parts[0] & parts[1] and len(parts[0] | parts[1]) == 7


class TestRefuses:
    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(UserError, match=r"the folder .*nowhere does not exist; set dataset.imagenet"):
            opened(tmp_path / "nowhere")

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "cats").mkdir()
        with pytest.raises(
            UserError, match=r"neither folders named by WordNet ids.*unpack ILSVRC2012_img_val.tar there"
        ):
            opened(tmp_path)

    def test_a_folder_that_is_no_class(self, tmp_path):
        (tmp_path / "n99999999").mkdir()
        with pytest.raises(UserError, match=r"n99999999 is none of the 1,000 classes"):
            opened(tmp_path)

    def test_a_chosen_class_without_images(self, sorted_photographs):
        with pytest.raises(UserError, match=r"no images of 1 of the 2 chosen classes, for example pizza \(n07873807\)"):
            opened(sorted_photographs, classes=["cheetah", "pizza"])

    def test_more_images_than_the_ground_truth_knows(self, photographs, tmp_path):
        devkit = photographs.parent / "ILSVRC2012_devkit_t12" / "data"
        (tmp_path / "meta.mat").write_bytes((devkit / "meta.mat").read_bytes())
        (tmp_path / "ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
        with pytest.raises(UserError, match=r"tells the classes of 2 images, but .* has ILSVRC2012_val_00000007.JPEG"):
            opened(photographs, devkit=str(tmp_path))

    @pytest.mark.parametrize("what", ["meta.mat", "ILSVRC2012_validation_ground_truth.txt"])
    def test_a_devkit_that_is_damaged(self, what, photographs, tmp_path):
        devkit = photographs.parent / "ILSVRC2012_devkit_t12" / "data"
        for path in devkit.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / what).write_text("nonsense\n" * 20)
        with pytest.raises(UserError, match=r"are not those of ILSVRC2012_devkit_t12 \(.*\); unpack it again"):
            opened(photographs, devkit=str(tmp_path))
