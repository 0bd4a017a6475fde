"""Hash the files of every network and generator once, into small files that later jobs compare."""

import json
from pathlib import Path

from pipeline.classifiers.identity import identify as identify_network
from pipeline.diffusion.identity import identify as identify_generator
from pipeline.files import appearing
from pipeline.fingerprint import canonical_json
from pipeline.metrics.networks import LOADERS
from pipeline.metrics.networks.identity import identify as identify_measuring


def identify(options: str, identities: list[Path]) -> None:
    """Write the identity of each network and generator, as JSON, to the file that has its name."""
    chosen = json.loads(options)
    for path in identities:
        name = path.stem
        if name in chosen["generators"]:
            identity = identify_generator(name, chosen["generators"][name])
        elif LOADERS.keys() & chosen["networks"][name].keys():
            identity = identify_measuring(name, chosen["networks"][name])
        else:
            identity = identify_network(name, chosen["networks"][name])
        with appearing(path) as hidden:
            hidden.write_text(canonical_json(identity) + "\n")
