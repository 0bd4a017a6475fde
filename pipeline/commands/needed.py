"""Which rows of the row store a study needs: known from the study, its networks and the code, without torch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow

from pipeline.classifiers.identity import without_state
from pipeline.fingerprint import canonical_json
from pipeline.rows import IDENTITY
from pipeline.stages.identify import identity_now
from pipeline.stages.networks import filler_identity, generator_identity, network_identity
from pipeline.study.plan import Plan
from pipeline.tables import KEPT

KEEPING = ("predict", "saliency", "counterfactuals")
"""The stages that keep rows in the row store; what `judge` asks of networks is kept with that of `predict`."""


@dataclass(frozen=True)
class Needed:
    """Rows that a study keeps under one identity.

    method: the entry of the study, None for predictions. known: whether the network could be identified; if not, any
    network of the same kind counts as the one that is needed.
    """

    stage: str
    algorithm: str
    network: str
    method: str | None
    identity: dict[str, Any]
    columns: list[list[str]]
    known: bool

    def is_kept_in(self, store: Mapping[str, Any]) -> bool:
        """Whether a store with that content of identity.json holds these rows."""
        if [store.get(key) for key in ("stage", "algorithm")] != [self.stage, self.algorithm]:
            return False
        if store["columns"][: len(self.columns)] != self.columns:
            return False
        return self._compared(self.identity) == self._compared(store["identity"])

    def _compared(self, identity: Mapping[str, Any]) -> str:
        identity = without_state(identity)
        if self.known:
            return canonical_json(identity)
        if self.stage == "predict":
            return canonical_json({**identity, "network": None})
        without = {**identity, "network": unidentified(identity["network"])}
        if "parts" in identity:
            without["parts"] = {role: unidentified(part) for role, part in identity["parts"].items()}
        if "filler" in identity:
            without["filler"] = None
        return canonical_json(without)


def needed_by(plan: Plan) -> Iterator[Needed]:
    """What the jobs of a study look up and keep, store by store."""
    seed = plan.study.seed
    found = {name: network_of(plan, name) for name in [*plan.networks, *plan.generators, *plan.fillers]}
    identities = {name: identity_of(plan, name, known or {}) for name, known in found.items()}
    for name in plan.networks:
        known, columns = found[name] is not None, written(KEPT["predict"])
        yield Needed("predict", "logits", name, None, identities[name], columns, known)
    for name in plan.study.classifiers:
        for method in plan.methods("saliency", name):
            entry = plan.study.saliency[method]
            deciding = entry.deciding(identities[name], seed, identities.get(entry.filler))
            known = all(found[each] is not None for each in filter(None, (name, entry.filler)))
            columns = written(KEPT["saliency"])
            yield Needed("saliency", entry.method, name, method, deciding, columns, known)
        for method in plan.methods("counterfactuals", name):
            entry = plan.study.counterfactuals[method]
            parts = entry.parts()
            named = {role: identities[part] for role, part in parts.items()}
            deciding = entry.deciding(identities[name], named, seed)
            known = all(found[each] is not None for each in (name, *parts.values()))
            columns = written(KEPT["counterfactuals"])
            yield Needed("counterfactuals", entry.method, name, method, deciding, columns, known)


def identity_of(plan: Plan, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what a network, generator or in-filler computes. known: what it is, as far as that is known."""
    if name in plan.generators:
        return generator_identity(plan.entry(name), known)
    if name in plan.fillers:
        return filler_identity(known)
    return network_identity(plan.entry(name), known, plan.study.seed)


def unidentified(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity of any network, or generator, that is loaded alike."""
    return {**identity, **{key: None for key in ("network", "generator") if key in identity}}


def network_of(plan: Plan, name: str) -> dict[str, Any] | None:
    """What a network, generator or in-filler is; None where its files are not there, as of one still to be trained.

    Without its state, which only loading tells.
    """
    options = json.loads(plan.options("identify"))
    return without_state(identity_now(Path(plan.identity(name)), options, plan.code("identify")))


def written(schema: pyarrow.Schema) -> list[list[str]]:
    """Columns as identity.json tells them; it also has those that every store has."""
    return [[field.name, str(field.type)] for field in schema]


def read_identity(folder: Path) -> dict[str, Any] | None:
    """What the rows of a store follow from; None where its file is missing or says something else."""
    try:
        identity = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = {"stage", "algorithm", "identity", "columns"}
    return identity if isinstance(identity, dict) and keys <= identity.keys() else None
