"""What a published network is, apart from where its files lie. Needs no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.digests import check_digest, file_digest
from pipeline.errors import UserError
from pipeline.metrics.networks import FILES

DIGESTS = {"linear": "linear_sha256"}
"""The option that says what is expected of a file, where it is not `sha256`."""


def identify(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The entry as plain JSON, with sha256 of contents in place of paths: equal if the networks are equal.

    Raises UserError for a missing file or another sha256 than is expected.
    """
    expected = {"sha256", *DIGESTS.values()}
    identity = {key: value for key, value in entry.items() if key not in expected and value is not None}
    for key in FILES:
        if key in identity:
            path = Path(identity[key])
            if not path.is_file():
                raise UserError(f"{name}: {path} does not exist; get the official file, or correct the path.")
            check_digest(name, path, entry.get(DIGESTS.get(key, "sha256")))
            identity[key] = f"sha256:{file_digest(path)}"
    return identity
