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


COUNTERFACTUALS = {
    "classifier-guidance": "pipeline.explain.classifier_guidance:explain",
    "blended": "pipeline.explain.blended:explain",
    "dvce": "pipeline.explain.dvce:explain",
    "vaeth": "pipeline.explain.dvce:explain_as_vaeth",
    "dime": "pipeline.explain.dime:explain",
    "ace": "pipeline.explain.ace:explain",
    "svce": "pipeline.explain.svce:explain",
    "pgd": "pipeline.explain.pgd:explain",
}
"""Each takes (classifier, images, targets, *, denoiser, noise, batch_size, progress, options): Counterfactuals."""
FAMILIES = {"saliency": SALIENCY, "counterfactuals": COUNTERFACTUALS}


def load_explainer(name: str, family: str = "saliency") -> Callable:
    """The method of that name of a family; UserError, with the nearest valid name, if there is none."""
    methods = FAMILIES[family]
    if name not in methods:
        close = nearest(name, methods) or next(iter(methods))
        raise UserError(f"there is no method {name!r} for {family}; use {close} (one of {', '.join(methods)})")
    module, function = methods[name].split(":")
    return getattr(import_module(module), function)
