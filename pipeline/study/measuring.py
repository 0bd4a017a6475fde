"""The networks that measure counterfactuals: by what each is for, and how each is loaded."""

from __future__ import annotations

from typing import Any

from pipeline.metrics.networks import FILES
from pipeline.study import Study
from pipeline.study.trained import loaded, network_files


def measuring_names(study: Study) -> dict[str, str | None]:
    """The name of the network of each role; a published one is named after its place in the study."""
    return {
        role: chosen if chosen is None or isinstance(chosen, str) else f"evaluation.{role}"
        for role, chosen in study.measuring.items()
    }


def measuring_entries(study: Study) -> dict[str, dict[str, Any]]:
    """How each network that measures is loaded, by its name."""
    entries = {}
    for role, name in measuring_names(study).items():
        chosen = study.measuring[role]
        if isinstance(chosen, str):
            entries[name] = loaded(study.network(chosen))
        elif chosen is not None:
            entries[name] = chosen.model_dump(mode="json", exclude_none=True)
    return entries


def entry_files(entry: dict[str, Any]) -> list[str]:
    """Local files of a network that measures."""
    return network_files(entry) + [entry[key] for key in FILES if entry.get(key)]
