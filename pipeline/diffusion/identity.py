"""What a generator is, apart from where its files lie and what an entry is called. Needs no torch."""

from collections.abc import Mapping
from typing import Any

from pipeline.diffusion.entry import Generator, existing_files
from pipeline.digests import check_digest, file_digest
from pipeline.entry import parse_entry


def identify(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as plain JSON, with sha256 of contents in place of paths: equal if the generators are equal.

    A preset and the same shape written out are the same network. Raises UserError for a wrong entry, a missing file or
    another sha256.
    """
    parsed = parse_entry(Generator, name, entry)
    files = existing_files(parsed)
    check_digest(parsed.owner, files[0], parsed.sha256)
    digests = [f"sha256:{file_digest(path)}" for path in files]
    identity: dict[str, Any] = {parsed.format: digests[0] if len(digests) == 1 else digests}
    if parsed.format == "checkpoint":
        described = parsed.described()
        identity |= {
            "kind": described.kind,
            "shape": described.shape.to_options(),
            "schedule": dict(described.schedule),
            "predicts": described.predicts,
            "variance": described.variance,
            "classes": None if described.classes is None else list(described.classes),
        }
    else:
        identity |= parsed.model_dump(mode="json", exclude_none=True, exclude={parsed.format, "sha256"})
    return identity
