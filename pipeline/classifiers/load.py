"""From a study's entry to a classifier."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipeline.classifiers.entry import LOADERS, Network
from pipeline.classifiers.file import save_classifier
from pipeline.classifiers.perturb import perturb_weights
from pipeline.classifiers.sources import source_file
from pipeline.classifiers.state import check_state
from pipeline.classifiers.wrap import Classifier
from pipeline.digests import check_digest
from pipeline.entry import parse_entry

__all__ = ["LOADERS", "load_classifier", "save_classifier"]


def load_classifier(
    name: str, entry: Mapping[str, Any], *, seed: int = 0, identity: Mapping[str, Any] | None = None
) -> Classifier:
    """The classifier, oracle or reader of that name, on the CPU in float32, ready to judge.

    entry: as in the study, see `classifiers.entry.Network`. seed: decides the noise of classifier_perturbation.
    identity: what it was identified as. Raises UserError for a wrong entry, a missing, altered or unsuitable file, and
    for other weights than those identified.
    """
    parsed = parse_entry(Network, name, entry)
    path = source_file(parsed)
    if path is not None:
        check_digest(f"classifier '{name}'", path, parsed.sha256)
    classifier = loader(parsed)(parsed)
    check_state(name, classifier.network, identity or {})
    perturb_weights(classifier.network, parsed.classifier_perturbation, seed, name)
    return classifier.for_task(parsed.task) if parsed.task else classifier


def loader(entry: Network):
    """The function that loads the entry's format; imported only now, since some take seconds to import."""
    module, function = LOADERS[entry.format].split(":")
    return getattr(import_module(module), function)
