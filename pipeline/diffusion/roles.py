"""What a generator must be for its part in a method: what walks, or what guides the walk. Needs no torch."""

from pipeline.errors import UserError
from pipeline.unet_shape import Shape

KINDS = {
    "unet": "a diffusion model",
    "noisy-classifier": "a classifier of noised images",
    "autoencoder": "a diffusion autoencoder",
}


def check_kind(owner: str, kind: str, wanted: str) -> None:
    """Raise UserError for a generator of another kind. owner: whose it is, as the message begins."""
    if kind != wanted:
        raise UserError(f"{owner} is {KINDS[kind]}; name {KINDS[wanted]} here.")


def check_unconditional(owner: str, shape: Shape) -> None:
    """Raise UserError for a diffusion model that must be told a class."""
    if shape.classes is not None:
        raise UserError(
            f"{owner} must be told a class of its own, which no method does; use one without classes, such as a"
            " checkpoint with `preset: imagenet-256`."
        )


def check_same_size(owner: str, guide: Shape, generator: Shape) -> None:
    """Raise UserError for a guide, called `owner`, that takes images of another size than the generator makes."""
    if guide.size != generator.size:
        raise UserError(
            f"{owner} takes images of {guide.size} pixels and the generator makes them of {generator.size}; use a guide"
            " that was trained at the generator's size."
        )
