"""Hash the files of every network once, into small files that later jobs compare."""

import json
from pathlib import Path

from pipeline.classifiers.identity import identify as identify_network
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json


def identify(options: str, identities: list[Path]) -> None:
    """Write the identity of each network, as JSON, to the file that has its name."""
    networks = json.loads(options)["networks"]
    for path in identities:
        with appearing(path) as hidden:
            hidden.write_text(canonical_json(identify_network(path.stem, networks[path.stem])) + "\n")
