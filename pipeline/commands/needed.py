"""Which rows of the row store a study needs: known from the study, its networks and the code, without torch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.classifiers.identity import without_state
from pipeline.fingerprint import canonical_json
from pipeline.rows import IDENTITY
from pipeline.stages.common import kept_columns
from pipeline.stages.identify import identity_now
from pipeline.stages.networks import filler_identity, generator_identity, network_identity
from pipeline.workflow import stages
from pipeline.workflow.base import Kept
from pipeline.workflow.plan import Plan


@dataclass(frozen=True)
class Needed:
    """Rows that a study keeps under one identity.

    known: whether the networks could be identified; if not, any of the same kind count as those that are needed.
    """

    stage: str
    kept: Kept
    columns: list[list[str]]
    known: bool

    def is_kept_in(self, store: Mapping[str, Any]) -> bool:
        """Whether a store with that content of identity.json holds these rows."""
        if [store.get(key) for key in ("stage", "algorithm")] != [self.stage, self.kept.algorithm]:
            return False
        if store["columns"][: len(self.columns)] != self.columns:
            return False
        return self._compared(self.kept.identity) == self._compared(store["identity"])

    def _compared(self, identity: Mapping[str, Any]) -> str:
        identity = without_state(identity)
        return canonical_json(identity if self.known else unidentified(identity))


def keeping() -> list[str]:
    """The stages that keep rows under their own names."""
    return [name for name, stage in stages().items() if stage.store == name]


def needed_by(plan: Plan) -> Iterator[Needed]:
    """What the jobs of a study look up and keep, store by store."""
    found = {name: network_of(plan, name) for name in [*plan.networks, *plan.generators, *plan.fillers]}
    identities = {name: identity_of(plan, name, known or {}) for name, known in found.items()}
    for stage in keeping():
        columns = [[field.name, str(field.type)] for field in kept_columns(stage)]
        for job in plan.by_classifier(stage):
            for kept in job.stage.kept(job, identities):
                yield Needed(stage, kept, columns, all(found[name] is not None for name in kept.of))


def identity_of(plan: Plan, name: str, known: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what a network, generator or in-filler computes. known: what it is, as far as that is known."""
    if name in plan.generators:
        return generator_identity(plan.entry(name), known)
    if name in plan.fillers:
        return filler_identity(known)
    return network_identity(plan.entry(name), known, plan.study.seed)


def unidentified(identity: Any) -> Any:
    """What decides rows, of any networks, generators and in-fillers that are loaded alike."""
    if not isinstance(identity, Mapping):
        return identity
    loaded = "code" in identity and "method" not in identity
    blank = {key: None for key in ("network", "generator") if loaded and key in identity}
    blank |= {"filler": None} if "filler" in identity else {}  # also its code follows from what its file says
    return {key: unidentified(value) for key, value in identity.items()} | blank


def network_of(plan: Plan, name: str) -> dict[str, Any] | None:
    """What a network, generator or in-filler is; None where its files are not there, as of one still to be trained.

    Without its state, which only loading tells.
    """
    identity = Path(plan.identity(name))
    return without_state(identity_now(identity, plan.chosen("identify"), plan.code("identify")))


def read_identity(folder: Path) -> dict[str, Any] | None:
    """What the rows of a store follow from; None where its file is missing or says something else."""
    try:
        identity = json.loads((folder / IDENTITY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = {"stage", "algorithm", "identity", "columns"}
    return identity if isinstance(identity, dict) and keys <= identity.keys() else None
