"""`make files`: what a study needs of others, what to do for it, and downloads of what is published openly."""

import hashlib
from pathlib import Path

import pytest

from pipeline.commands.files import files
from pipeline.commands.plan import plan
from pipeline.errors import UserError
from tests.commands.test_others import HEADER, STUDY

CONTENT = b"published weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def published(tmp_path, monkeypatch):
    """A project whose study needs a file that lies at an address, and one that a person must ask for."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "a.pt").write_bytes(CONTENT)
    Path("studies").mkdir()
    Path("studies/mine.yaml").write_text(STUDY)
    write_table()
    return tmp_path


def write_table(sha256=DIGEST, address=None):
    address = address or Path("server/a.pt").resolve().as_uri()
    rows = [
        f"resources/a.pt,weights,17,{sha256},the publisher,MIT,https://example.org/a,{address},",
        "resources/images,images,2000000,,,research only,https://example.org/b,,register there and unpack images.tar",
    ]
    Path("studies/mine.files.csv").write_text("\n".join([HEADER, *rows]) + "\n")


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def row(said, path):
    return next(line for line in said if line.strip().startswith(path) and "  " in line)


@pytest.mark.parametrize("command", [files, plan])
def test_what_is_missing_is_listed_with_what_to_do_and_nothing_is_fetched(command, capsys):
    command("mine")
    said = lines(capsys)
    assert "missing" in row(said, "resources/a.pt") and "MIT" in row(said, "resources/a.pt")
    assert "resources/images: register there and unpack images.tar (https://example.org/b)." in said
    assert said[-1] == "1 missing files can be fetched (17 B): `make files STUDY=... DOWNLOAD=1`."
    assert not Path("resources").exists()


def test_a_download_is_verified_and_kept(capsys):
    files("mine", download=True)
    assert Path("resources/a.pt").read_bytes() == CONTENT
    assert " there " in row(lines(capsys), "resources/a.pt")


@pytest.mark.parametrize("sha256", [DIGEST[:8], ""])
def test_the_first_digits_of_a_digest_do_and_an_unknown_one_is_told(sha256, capsys):
    write_table(sha256)
    files("mine", download=True)
    assert Path("resources/a.pt").read_bytes() == CONTENT
    told = f"resources/a.pt has sha256 {DIGEST}; none is published to compare it with."
    assert (told in lines(capsys)) == (sha256 == "")


def test_another_file_is_not_kept():
    write_table("0" * 64)
    with pytest.raises(UserError, match=r"a.pt is not the file that is meant .*; nothing was kept"):
        files("mine", download=True)
    assert not list(Path("resources").iterdir())


def test_a_file_that_cannot_be_fetched_is_told_without_a_traceback():
    write_table(address=Path("server/absent.pt").resolve().as_uri())
    with pytest.raises(UserError, match=r"absent.pt cannot be fetched .*or get the file elsewhere and put it to"):
        files("mine", download=True)


def test_a_file_with_another_digest_is_told_and_never_written_over(capsys):
    Path("resources").mkdir()
    Path("resources/a.pt").write_bytes(b"my own")
    files("mine", download=True)
    said = lines(capsys)
    assert "another file" in row(said, "resources/a.pt")
    assert any(f"expected {DIGEST} (the publisher); get it again." in line for line in said)
    assert Path("resources/a.pt").read_bytes() == b"my own"


def test_a_study_without_a_table_says_so(capsys):
    Path("studies/mine.files.csv").unlink()
    files("mine")
    assert lines(capsys) == ["This study needs no files of others, or has no table of them beside it."]
