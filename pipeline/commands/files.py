"""Tell which files of others a study needs, which of them are there, and fetch those that are published openly."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.commands.others import ANOTHER, MISSING, UNKNOWN, File, Found, files_of, find
from pipeline.commands.shown import in_bytes, show
from pipeline.errors import UserError
from pipeline.study import load_study

COLUMNS = ("file", "state", "size", "licence", "what it is")


def files(study: str = "default", download: bool = False) -> None:
    """List the files of others that a study needs, with their state and what to do; nothing is fetched.

    --study: its name, or the path of its file. --download: fetch those that are missing and have an open address; one
    whose sha256 is another than its publisher's is not kept.
    """
    load_study(study)
    wanted = files_of(study)
    if not wanted:
        print("This study needs no files of others, or has no table of them beside it.")
        return
    if download:
        for file in wanted:
            if file.url and find(file).state == MISSING:
                fetch(file)
    show_files(wanted)


def show_files(wanted: Sequence[File]) -> None:
    """Print the table of files with their states, and below it what to do."""
    found = [find(file) for file in wanted]
    rows = [
        [each.file.path, each.state, in_bytes(each.file.about_bytes), each.file.licence, each.file.what]
        for each in found
    ]
    show("Files of others", COLUMNS, rows, numbers=("size",))
    for line in to_do(found):
        print(line)


def to_do(found: Sequence[Found]) -> Iterator[str]:
    """What a person has to do, file by file; nothing where all are there and as published."""
    for each in found:
        if each.state == ANOTHER:
            yield (
                f"{each.file.path} has sha256 {each.sha256}, expected {in_digits(each.file.sha256)}"
                f" ({each.file.sha256_from}); get it again."
            )
        elif each.state == UNKNOWN:
            yield f"{each.file.path} has sha256 {each.sha256}; none is published to compare it with."
        elif each.state == MISSING and each.file.instruction:
            yield f"{each.file.path}: {each.file.instruction} ({each.file.source})."
    open_ones = [each.file for each in found if each.state == MISSING and each.file.url]
    if open_ones:
        size = in_bytes(sum(file.about_bytes for file in open_ones))
        yield f"{len(open_ones)} missing files can be fetched ({size}): `make files STUDY=... DOWNLOAD=1`."


def in_digits(sha256: str) -> str:
    return sha256 if len(sha256) == 64 else f"{sha256}..."


def fetch(file: File) -> None:
    """Download a file to its place, whole or not at all. Raises UserError if it cannot be had or is another one."""
    from urllib.error import URLError

    from torch.hub import download_url_to_file

    path = Path(file.path)
    path.parent.mkdir(parents=True, exist_ok=True)
    print(f"{file.path}: fetching {in_bytes(file.about_bytes)} from {file.url}")
    try:
        download_url_to_file(file.url, str(path), hash_prefix=file.sha256 or None)
    except RuntimeError as error:  # of torch, for another digest
        raise UserError(f"{file.url} is not the file that is meant ({error}); nothing was kept.") from None
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{file.url} cannot be fetched ({reason}); connect to the network, or get the file elsewhere and put it to"
            f" {file.path}."
        ) from None
