"""The stages of the workflow: what is known of each before it runs, in a file of its own.

A stage is three files of one name: its rule in `rules/`, its declaration here, and its function in `pipeline.stages`.
Declarations are found by folder, so that nothing else names a stage. They import no torch; and nothing that computes
imports them, so that none is in the fingerprint of any code: a changed description or memory figure computes nothing
again.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.workflow.base import Stage


@cache
def stages() -> dict[str, Stage]:
    """The declarations by the names of their stages, each after those that it reads from."""
    found = {each.name: import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)}
    declared = {name: replace(module.STAGE, name=name) for name, module in found.items() if hasattr(module, "STAGE")}

    def depth(stage: Stage) -> int:
        before = [each for each in declared.values() if any(map(each.is_read_as, stage.reads))]
        return 1 + max(map(depth, before), default=0)

    return dict(sorted(declared.items(), key=lambda named: (depth(named[1]), named[0])))
