"""What an in-filler with weights is, apart from where its file lies and what an entry is called. Needs no torch."""

from collections.abc import Mapping
from typing import Any

from pipeline.digests import check_digest, file_digest
from pipeline.entry import parse_entry
from pipeline.infill.description import read_shape
from pipeline.infill.entry import Filler


def identify(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as plain JSON, with sha256 of the content in place of the path: equal if the in-fillers are equal.

    Raises UserError for a wrong entry, a missing file or another sha256.
    """
    parsed = parse_entry(Filler, name, entry)
    path = parsed.existing_file()
    check_digest(parsed.owner, path, parsed.sha256)
    kind = read_shape(path, parsed.owner).kind
    return {"file": f"sha256:{file_digest(path)}", "kind": kind, "composited": parsed.composited}
