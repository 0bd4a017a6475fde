"""In-fillers: what stands in an image where pixels were dropped.

This file imports no torch, so that a study can name an in-filler without waiting for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.errors import UserError, nearest

if TYPE_CHECKING:
    import torch

    from pipeline.noise import Noise

__all__ = ["INFILLS", "Infill", "load_infill"]

INFILLS = {
    "mean": "pipeline.infill.heuristics:mean",
    "blur": "pipeline.infill.heuristics:blur",
    "random": "pipeline.infill.heuristics:random",
    "local-mean": "pipeline.infill.heuristics:local_mean",
}
"""Each takes its options as keywords and returns an Infill."""


@dataclass(frozen=True)
class Infill:
    """A function that fills holes.

    function: takes images (N, 3, H, W) in [0, 1], keep (N, 1, H, W) of 1 (kept) and 0 (hole), and the keywords noise
        (a row for each of the N rows, or None) and step; returns full images (N, 3, H, W), called backgrounds.
    per_step: whether the background depends on mask, noise or step. If not, one for each image is enough.
    """

    name: str
    function: Callable[..., torch.Tensor]
    per_step: bool

    def __call__(
        self, images: torch.Tensor, keep: torch.Tensor, *, noise: Noise | None = None, step: int = 0
    ) -> torch.Tensor:
        """Backgrounds (N, 3, H, W); the caller blends keep * images + (1 - keep) * backgrounds. Carries no gradient."""
        import torch

        with torch.no_grad():
            return self.function(images, keep, noise=noise, step=step)


def load_infill(name: str, **options: Any) -> Infill:
    """The in-filler of that name; UserError, with the nearest valid word, for a name or option that there is not."""
    if name not in INFILLS:
        raise UserError(f"there is no in-filler {name!r}; use {nearest(name, INFILLS) or 'blur'} ({_listed(INFILLS)})")
    module, function = INFILLS[name].split(":")
    build = getattr(import_module(module), function)
    valid = inspect.signature(build).parameters
    for option in options:
        if option not in valid:
            close = nearest(option, valid)
            hint = f"did you mean {close!r}?" if close else f"it takes {_listed(valid) or 'no options'}"
            raise UserError(f"in-filler {name!r} has no option {option!r}; {hint}")
    return build(**options)


def _listed(names) -> str:
    return ", ".join(names)
