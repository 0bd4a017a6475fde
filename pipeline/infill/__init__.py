"""In-fillers: what stands in an image where pixels were dropped.

This file imports no torch, so that a study can name an in-filler without waiting for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pipeline.entry import sentence
from pipeline.errors import UserError, nearest
from pipeline.infill import declared

if TYPE_CHECKING:
    import torch

    from pipeline.noise import Noise

__all__ = ["Infill", "load_infill"]


@dataclass(frozen=True)
class Infill:
    """A function that fills holes.

    function: takes images (N, 3, H, W) in [0, 1], keep (N, 1, H, W) of 1 (kept) and 0 (hole), and the keywords noise
        (a row for each of the N rows, or None) and step; returns full images (N, 3, H, W), called backgrounds.
    per_step: whether the background depends on mask, noise or step. If not, one for each image is enough.
    composited: whether backgrounds have the pixels of the images where these are kept.
    network: of an in-filler with weights, which must lie on the device of the images.
    """

    name: str
    function: Callable[..., torch.Tensor]
    per_step: bool
    composited: bool = False
    network: torch.nn.Module | None = None

    def __call__(
        self, images: torch.Tensor, keep: torch.Tensor, *, noise: Noise | None = None, step: int = 0
    ) -> torch.Tensor:
        """Backgrounds (N, 3, H, W); the caller blends keep * images + (1 - keep) * backgrounds. Carries no gradient."""
        import torch

        with torch.no_grad():
            filled = self.function(images, keep, noise=noise, step=step)
            return torch.where(keep > 0.5, images, filled) if self.composited else filled

    def to(self, device: torch.device | str) -> Infill:
        """The in-filler, with its network on a device."""
        from pipeline.device import place

        if self.network is not None:
            place(self.network, device)
        return self


def load_infill(name: str, **options: Any) -> Infill:
    """The in-filler without weights of that name.

    Raises UserError, with the nearest valid word, for a name or option that there is not, and for a wrong value.
    """
    known = declared.heuristics()
    if name not in known:
        close = nearest(name, known) or "blur"
        raise UserError(f"there is no in-filler {name!r}; use {close} ({', '.join(known)})")
    try:
        section = known[name].model_validate({"infill": name, **options})
    except ValidationError as error:
        told = dict.fromkeys(sentence(mistake) for mistake in error.errors())
        raise UserError("\n".join(f"in-filler '{name}': {each}" for each in told)) from None
    module, function = section.build.split(":")
    return replace(getattr(import_module(module), function)(**section.options()), name=section.called())
