import io
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets as hub
import huggingface_hub
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from pipeline.datasets import manifest, open_dataset
from pipeline.datasets.sampling import sample
from pipeline.datasets.splits import SPLITS
from pipeline.errors import UserError

PIXELS = [np.full((4, 6, 3), 20 * index, np.uint8) for index in range(6)]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is read from or left in the person's cache."""
    monkeypatch.setattr(hub.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    hub.disable_progress_bars()


@pytest.fixture
def offline(monkeypatch):
    """The Hub cannot be reached, and is known to be out of reach."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub.config, "HF_HUB_OFFLINE", True)


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def table(labels, first=0, **columns):
    """A Hugging Face dataset of images that differ, with a ClassLabel column."""
    images = [{"bytes": png(PIXELS[first + index]), "path": None} for index in range(len(labels))]
    names = hub.ClassLabel(names=["wren", "owl"])
    features = hub.Features({"image": hub.Image(), "label": names, **{name: hub.Value("string") for name in columns}})
    return hub.Dataset.from_dict({"image": images, "label": labels, **columns}, features=features)


def opened(path, split="test", **options):
    return open_dataset({"huggingface": str(path), "size": None, "shares": {"test": 1}, **options}, split, 1)


def by_id(source):
    return {image_id: source.read(image_id) for image_id in source.ids}


def test_a_parquet_file_gives_images_and_names_of_classes(tmp_path):
    table([0, 1, 1]).to_parquet(tmp_path / "birds.parquet")
    source = opened(tmp_path / "birds.parquet")
    samples = by_id(source)
    assert source.tasks == {"label": ("wren", "owl")}
    assert sorted(samples) == ["birds-train-000000", "birds-train-000001", "birds-train-000002"]
    assert np.array_equal(samples["birds-train-000002"].image, PIXELS[2])
    assert samples["birds-train-000000"].attributes == source.labels("birds-train-000000") == {"label": 0}


def test_a_folder_of_parquet_files_keeps_its_splits(tmp_path):
    (tmp_path / "birds").mkdir()
    table([0, 1]).to_parquet(tmp_path / "birds" / "train-00000-of-00001.parquet")
    table([1], first=2).to_parquet(tmp_path / "birds" / "validation-00000-of-00001.parquet")
    table([0], first=3).to_parquet(tmp_path / "birds" / "test-00000-of-00001.parquet")
    sizes = [len(list(opened(tmp_path / "birds", split).ids)) for split in SPLITS]
    assert sizes == [2, 1, 1]
    assert list(opened(tmp_path / "birds", "search").ids) == ["birds-validation-000000"]


def test_a_folder_written_by_save_to_disk_is_read_with_or_without_splits(tmp_path):
    table([0, 1]).save_to_disk(tmp_path / "flat")
    hub.DatasetDict({"fit": table([0, 1]), "judge": table([1], first=2)}).save_to_disk(tmp_path / "birds")
    assert len(by_id(opened(tmp_path / "flat"))) == 2
    source = opened(tmp_path / "birds", splits={"train": "fit", "test": "judge"})
    assert [image.attributes["label"] for image in by_id(source).values()] == [1]


def test_an_arrow_file_is_read(tmp_path):
    table([0, 1]).save_to_disk(tmp_path / "flat")
    shutil.copy(next((tmp_path / "flat").glob("*.arrow")), tmp_path / "birds.arrow")
    assert len(by_id(opened(tmp_path / "birds.arrow"))) == 2


def test_one_split_is_divided_by_the_bytes_of_the_images(tmp_path):
    twice = hub.concatenate_datasets([table([0] * 6), table([1] * 6)])
    twice.to_parquet(tmp_path / "birds.parquet")
    shares = {"train": 0.4, "search": 0.3, "test": 0.3}
    ids = [set(opened(tmp_path / "birds.parquet", split, shares=shares).ids) for split in SPLITS]
    assert sum(map(len, ids)) == len(set.union(*ids)) == 12
    for index in range(6):
        pair = {f"birds-train-{index:06d}", f"birds-train-{index + 6:06d}"}
        assert any(pair <= split for split in ids)


def test_plain_columns_of_bytes_words_and_numbers_will_do(tmp_path):
    columns = {
        "picture": [png(PIXELS[0]), png(PIXELS[1]), None],
        "bird": ["owl", "wren", None],
        "nests": [3, 1, 3],
        "words": ["an owl", None, "a wren"],
        "name": ["x 1", "x2", "x3"],
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "birds.parquet")
    options = {"image_column": "picture", "label_columns": {"species": "bird", "nests": "nests"}, "id_column": "name"}
    source = opened(tmp_path / "birds.parquet", caption_column="words", **options)
    assert source.tasks == {"species": ("owl", "wren"), "nests": ("1", "3")}
    samples = by_id(source)
    assert samples["x2"].attributes == {"species": 1, "nests": 0} and samples["x2"].caption is None
    missing = samples["x3"]
    assert missing.image is None and "row 2 of train: the row holds no image" in missing.reason
    assert missing.attributes == {"species": None, "nests": 1} and missing.caption == "a wren"
    assert any(image_id.startswith("x_1~") for image_id in samples)


def test_a_row_without_an_image_lies_in_one_split(tmp_path):
    pyarrow.parquet.write_table(pyarrow.table({"image": [None, png(PIXELS[0])]}), tmp_path / "birds.parquet")
    options = {"label_columns": [], "shares": {"train": 0.5, "test": 0.5}}
    ids = [list(opened(tmp_path / "birds.parquet", split, **options).ids) for split in ("train", "test")]
    assert sum(map(len, ids)) == 2


def test_all_splits_number_their_classes_alike(tmp_path):
    (tmp_path / "birds").mkdir()
    for split, birds in {"train": ["wren", "auk"], "test": ["owl"]}.items():
        rows = {"image": [png(PIXELS[0])] * len(birds), "label": birds}
        pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "birds" / f"{split}.parquet")
    source = opened(tmp_path / "birds")
    assert source.tasks == {"label": ("auk", "owl", "wren")} and source.labels("birds-test-000000") == {"label": 1}


def test_a_label_that_was_withheld_is_not_known(tmp_path):
    table([-1, 1]).to_parquet(tmp_path / "birds.parquet")
    assert opened(tmp_path / "birds.parquet").labels("birds-train-000000") == {"label": None}


def test_images_named_by_their_path_are_read(tmp_path, save_image):
    path = save_image(tmp_path / "a.png", pixels=PIXELS[3])
    columns = {"image": [{"bytes": None, "path": str(path)}, {"bytes": None, "path": str(tmp_path / "b.png")}]}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "birds.parquet")
    source = opened(tmp_path / "birds.parquet", label_columns=[])
    assert np.array_equal(source.read("birds-train-000000").image, PIXELS[3])
    with pytest.raises(UserError, match=r"names the file .*b.png, which does not exist; put it there"):
        source.read("birds-train-000001")


def test_images_are_transformed_and_sampled(tmp_path):
    table([0, 1, 0, 1, 0, 1]).to_parquet(tmp_path / "birds.parquet")
    chosen = sample(opened(tmp_path / "birds.parquet", size=3), 4, per_class="label")
    assert [image.image.shape for image in chosen] == [(3, 3, 3)] * 4
    assert sorted(image.attributes["label"] for image in chosen) == [0, 0, 1, 1]


def test_a_manifest_notices_a_changed_file(tmp_path):
    path = tmp_path / "birds.parquet"
    table([0, 1]).to_parquet(path)
    before = manifest({"huggingface": str(path)})
    table([0, 0]).to_parquet(path)
    assert manifest({"huggingface": str(path)}) != before
    assert manifest({"huggingface": "owner/birds"}) == "[]\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"image_column": "img"}, r'no column "img".*; set dataset.image_column; its columns are image, label, name'),
        ({"image_column": "label"}, r"no images in the column label but ClassLabel.*set dataset.image_column"),
        ({"label_columns": ["lable"]}, r'no column "lable" \(did you mean "label"\?\); set dataset.label_columns'),
        ({"label_columns": ["image"]}, "a label is a word or a whole number"),
        ({"id_column": "name"}, r'has the id "a" twice in the column name, in rows 0 and 1 of train'),
        ({"caption_column": "text"}, 'no column "text"; set dataset.caption_column'),
        ({"classes": ["wren", "hawk"]}, 'label "owl" in row 1, which is no class'),
        ({"splits": {"test": "trian"}}, r'no split "trian" \(did you mean "train"\?\)'),
    ],
)
def test_a_wrong_option_is_one_sentence(tmp_path, options, sentence):
    table([0, 1], name=["a", "a"]).to_parquet(tmp_path / "birds.parquet")
    with pytest.raises(UserError, match=sentence) as error:
        opened(tmp_path / "birds.parquet", **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["birds.parquet", "birds.csv", "folder"])
def test_what_is_no_dataset_says_so(tmp_path, name):
    if name == "folder":
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(UserError, match=rf"{name} (cannot be read as a dataset|is no dataset file)") as error:
        opened(tmp_path / name)
    assert "\n" not in str(error.value)


def test_without_a_network_a_name_on_the_hub_is_one_sentence(offline):
    with pytest.raises(
        UserError, match=r'cannot be reached and the dataset "owner/birds" is not in the cache'
    ) as error:
        opened("owner/birds")
    assert "set dataset.huggingface to a local path" in str(error.value) and "\n" not in str(error.value)


def test_a_hub_that_refuses_connections_is_one_sentence_at_once(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", endpoint)
    with pytest.raises(UserError, match="cannot be reached"):
        opened("owner/birds")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (404, "RepoNotFound", 'no dataset "owner/birds", neither here nor on the Hugging Face Hub'),
        (403, "GatedRepo", 'the dataset "owner/birds" is gated; accept its terms at https://'),
        (404, "RevisionNotFound", 'the dataset "owner/birds" has no revision "v2"; set dataset.revision to main'),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(monkeypatch, status, code, sentence):
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(UserError, match=sentence) as error:
            opened("owner/birds", revision="v2")
        server.shutdown()
    assert "\n" not in str(error.value)


def test_a_path_that_does_not_exist_and_is_no_name_is_one_sentence(offline):
    with pytest.raises(UserError, match="is neither a file or folder here nor a name on the Hugging Face Hub"):
        opened("data/that/is/missing.parquet")


@pytest.fixture
def cached(tmp_path):
    """A dataset as an earlier run with a network left it in the cache."""
    table([0, 1]).to_parquet(tmp_path / "birds.parquet")
    hub.load_dataset("parquet", data_files=str(tmp_path / "birds.parquet"), cache_dir=tmp_path / "elsewhere")
    info = next((tmp_path / "elsewhere").rglob("dataset_info.json"))
    there = tmp_path / "cache" / "owner___birds" / "default" / "0.0.0" / COMMIT
    shutil.copytree(info.parent, there)
    (there / "parquet-train.arrow").rename(there / "birds-train.arrow")
    text = (there / "dataset_info.json").read_text()
    (there / "dataset_info.json").write_text(text.replace(info.parts[-4], "default"))


def test_without_a_network_a_copy_in_the_cache_is_read(cached, offline):
    assert len(by_id(opened("owner/birds"))) == len(by_id(opened("owner/birds", revision=COMMIT))) == 2


def test_without_a_network_another_revision_in_the_cache_will_not_do(cached, offline):
    with pytest.raises(UserError, match=f'"owner/birds" at revision {"f" * 40} is not in the cache'):
        opened("owner/birds", revision="f" * 40)
