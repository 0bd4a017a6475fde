"""Tables of the files of others that a study needs."""

import hashlib
import json
import os
from pathlib import Path

import pytest

from pipeline.commands import others as files
from pipeline.commands.others import ANOTHER, MISSING, THERE, UNKNOWN, File, files_of, find
from pipeline.errors import UserError
from pipeline.imagenet import class_numbers
from pipeline.study import load_study
from pipeline.workflow.plan import Plan

ROOT = Path(__file__).resolve().parents[2]
HEADER = "path,what,about_bytes,sha256,sha256_from,licence,source,url,instruction"
CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
STUDY = "study: mine\ndataset: {world: shapes}\nclassifiers: {a: {onnx: a.onnx}}\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """A project with a study, studies/mine.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("studies/mine.yaml").write_text(STUDY)


def write_table(*lines, header=HEADER):
    Path("studies/mine.files.csv").write_text("\n".join([header, *lines]) + "\n")


def wanted(path="a.onnx", sha256=DIGEST, url="https://example.org/a.onnx"):
    return File(path, "weights", 7, sha256, "its publisher", "MIT", "https://example.org", url, "")


def test_a_study_without_a_table_needs_no_files():
    assert files_of("mine") == [] == files_of("studies/mine.yaml")


@pytest.mark.parametrize("named", ["mine", "studies/mine.yaml"])
def test_a_table_lies_beside_its_study(named):
    write_table(f"a.onnx,weights,7,{DIGEST[:8]},its publisher,MIT,https://example.org,,unpack it")
    (file,) = files_of(named)
    assert (file.path, file.about_bytes, file.sha256, file.instruction) == ("a.onnx", 7, DIGEST[:8], "unpack it")


@pytest.mark.parametrize(
    ("sha256", "state"),
    [(DIGEST, THERE), (DIGEST[:8], THERE), ("", UNKNOWN), ("0" * 8, ANOTHER), ("0" * 64, ANOTHER)],
)
def test_a_file_that_is_there_is_compared_as_far_as_its_digest_is_published(sha256, state):
    assert find(wanted(sha256=sha256)).state == MISSING
    Path("a.onnx").write_bytes(CONTENT)
    found = find(wanted(sha256=sha256))
    assert (found.state, found.sha256) == (state, DIGEST)


def test_a_folder_is_there_or_not():
    assert find(wanted("images")).state == MISSING
    Path("images").mkdir()
    assert find(wanted("images")).state == THERE


def test_a_file_is_read_again_only_when_it_changes(monkeypatch):
    read = []
    monkeypatch.setattr(
        files, "file_digest", lambda path: read.append(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    )
    Path("a.onnx").write_bytes(CONTENT)
    assert find(wanted()).state == find(wanted()).state == THERE and len(read) == 1
    Path("a.onnx").write_bytes(b"others!")
    os.utime("a.onnx", ns=(1, 1))
    assert find(wanted()).state == ANOTHER and len(read) == 2
    files.DIGESTS.write_text("damaged")
    assert find(wanted()).state == ANOTHER and len(read) == 3


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (f"a,w,7,{DIGEST[:7]},p,MIT,s,u,", "line 2: sha256 is 8 to 64 hexadecimal digits"),
        ("a,w,many,,p,MIT,s,u,", "about_bytes a whole number"),
        ("a,w,7,,p,MIT,s,,", "line 2: give the file's url, or an instruction how to get it"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_line(line, sentence):
    write_table(line)
    with pytest.raises(UserError, match=f"studies/mine.files.csv, .*{sentence}"):
        files_of("mine")


def test_a_table_has_all_columns():
    write_table(header="path,what")
    with pytest.raises(UserError, match=r"studies/mine\.files\.csv must have the columns path, what, about_bytes"):
        files_of("mine")


# The published study


@pytest.fixture
def published(monkeypatch):
    monkeypatch.chdir(ROOT)
    return Plan(load_study("vce-imagenet")), {file.path: file for file in files_of("vce-imagenet")}


def test_the_published_study_tells_where_each_of_its_files_comes_from(published):
    plan, told = published
    dataset = plan.study.dataset
    named = {dataset.imagenet, dataset.devkit, *plan.weights(*plan.networks, *plan.generators)}
    assert named == set(told)
    assert all(file.what and file.licence and file.source.startswith("https://") for file in told.values())
    assert all(bool(file.sha256) == bool(file.sha256_from) for file in told.values())


def test_what_libraries_know_of_the_published_files_stands_in_the_table(published):
    from torchvision.datasets.imagenet import ARCHIVE_META
    from torchvision.models import AlexNet_Weights, Swin_B_Weights

    _, told = published
    for weights in (AlexNet_Weights.IMAGENET1K_V1, Swin_B_Weights.IMAGENET1K_V1):
        name = weights.url.rpartition("/")[2]
        file = told[f"resources/vce-imagenet/{name}"]
        assert file.url == weights.url and f"-{file.sha256}." in name
    for folder, archive in (("val", "val"), ("ILSVRC2012_devkit_t12", "devkit")):
        instruction = told[f"resources/imagenet/{folder}"].instruction
        assert all(word in instruction for word in ARCHIVE_META[archive])


def test_the_pairs_of_the_published_study_are_those_of_its_table(published):
    plan, _ = published
    wanted = json.loads(plan.options("counterfactuals"))["wanted"]
    assert len(wanted) == 4 and all(each["to_itself"] for each in wanted.values())
    for each in wanted.values():
        pairs = [(source, target) for source, targets in each["targets"].items() for target in targets]
        assert len(pairs) == len(set(pairs)) == 66
        assert {source for source, _ in pairs} == {
            str(number) for number in class_numbers(plan.study.dataset.classes, "")
        }
        assert ("970", "970") in pairs and ("965", "965") in pairs
