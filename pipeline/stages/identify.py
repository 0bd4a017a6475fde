"""Hash every network and generator once, into small files that later jobs compare."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import parse_entry
from pipeline.classifiers.identity import identify as identify_network
from pipeline.classifiers.identity import told_by_loading
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
            identity = network_identity(name, chosen["networks"][name])
        with appearing(path) as hidden:
            hidden.write_text(canonical_json(identity) + "\n")


def network_identity(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a network is; one whose files do not tell its weights is loaded to see them."""
    identity = identify_network(name, entry)
    if not told_by_loading(parse_entry(name, entry)):
        return identity
    from pipeline.classifiers.load import load_classifier
    from pipeline.classifiers.state import state_digest

    unperturbed = {key: value for key, value in entry.items() if key != "classifier_perturbation"}
    state = state_digest(load_classifier(name, unperturbed).network)
    return {**identity, "state": state} if state else identity
