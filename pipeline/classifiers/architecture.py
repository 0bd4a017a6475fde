"""Networks by their timm name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from pipeline.errors import UserError, nearest

HUB_NAMES = ("hf-hub:", "hf_hub:")
ELSEWHERE = (
    *("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_model_args"),
    *("checkpoint_path", "cache_dir"),
)
"""Arguments of timm by which a network would get weights from the hub, or from files that nobody names."""


def check_architecture(name: str, model: str) -> None:
    """Raise UserError unless timm knows the model and its tag ("resnet50.a1_in1k"), or the name is one of the hub's."""
    import timm

    if model.startswith(HUB_NAMES):
        return
    architecture, _, tag = model.partition(".")
    if not timm.is_model(architecture):
        guess = nearest(architecture, timm.list_models())
        hint = f"did you mean '{guess}'?" if guess else "`timm.list_models()` lists them."
        raise UserError(f"classifier '{name}': timm has no architecture '{architecture}'; {hint}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        guess = nearest(tag, tags)
        hint = f"did you mean '{architecture}.{guess}'?" if guess else f"leave out the tag: '{architecture}'."
        raise UserError(f"classifier '{name}': timm knows no weights '{model}'; {hint}")


def create_network(name: str, model: str, options: Mapping[str, Any], *, pretrained: bool = False) -> torch.nn.Module:
    """The network that timm makes of a name and keyword arguments; UserError if it knows no such name or arguments.

    Options by which it would fetch or read other weights are a UserError, too.
    """
    import timm

    check_architecture(name, model)
    for option in options:
        if option in ELSEWHERE:
            raise UserError(
                f"classifier '{name}': options has {option}, which would fetch or read other weights; leave it out."
            )
    try:
        return timm.create_model(model, pretrained=pretrained, **options)
    except (TypeError, AssertionError, ValueError) as error:
        raise UserError(
            f"classifier '{name}': timm cannot build {model} with the options {dict(options)} ({error}); give keyword"
            " arguments that the architecture takes."
        ) from error


@contextmanager
def fresh(seed: int) -> Iterator[None]:
    """Within, networks get the fresh weights of that seed; the random numbers of everything else stay as they are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
