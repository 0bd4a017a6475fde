"""Explainers: one module per method, pure functions of a classifier and tensors.

This file imports nothing heavy, so that a study can name a method without waiting for torch.
"""

from collections.abc import Callable
from importlib import import_module

from pipeline.errors import UserError, nearest

SALIENCY = {
    "fido": "pipeline.explain.fido:explain",
    "bbmp": "pipeline.explain.bbmp:explain",
    "bbmp-fido": "pipeline.explain.bbmp:explain_in_fido",
    "gradient": "pipeline.explain.gradients:gradient",
    "integrated-gradients": "pipeline.explain.gradients:integrated_gradients",
    "grad-cam": "pipeline.explain.grad_cam:explain",
    "lime": "pipeline.explain.lime:explain",
    "occlusion": "pipeline.explain.occlusion:explain",
    "random": "pipeline.explain.random_map:explain",
}
"""Each takes (classifier, images, targets, *, noise, infill, batch_size, progress, options) and returns Maps."""


def load_explainer(name: str) -> Callable:
    """The method of that name for explaining by maps; UserError, with the nearest valid name, if there is none."""
    if name not in SALIENCY:
        close = nearest(name, SALIENCY) or "fido"
        raise UserError(f"there is no method {name!r} for saliency; use {close} (one of {', '.join(SALIENCY)})")
    module, function = SALIENCY[name].split(":")
    return getattr(import_module(module), function)
