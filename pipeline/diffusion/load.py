"""From a study's entry to a diffusion model, or to a classifier of noised images that guides one."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from pipeline.diffusion.autoencoder import Autoencoder
from pipeline.diffusion.denoiser import Denoiser
from pipeline.diffusion.entry import LOADERS, Generator, existing_files
from pipeline.diffusion.roles import check_kind
from pipeline.diffusion.schedule import full_schedule
from pipeline.diffusion.unet import NoisyClassifier
from pipeline.digests import check_digest
from pipeline.entry import parse_entry
from pipeline.errors import UserError

CHANNELS = 3  # of the images of every study


def load_generator(name: str, entry: Mapping[str, Any], kind: str = "unet") -> Denoiser | NoisyClassifier | Autoencoder:
    """The generator of that name, frozen, on the CPU in float32.

    A Denoiser or an Autoencoder on its full schedule, or a NoisyClassifier. entry: as in the study, see
    `diffusion.entry.Generator`. kind: "unet", "autoencoder" or "noisy-classifier". The side of its images is
    `shape.size` of its network. Raises UserError for a wrong entry, a missing, altered or unsuitable file, and for a
    generator of another kind.
    """
    parsed = parse_entry(Generator, name, entry)
    check_digest(parsed.owner, existing_files(parsed)[0], parsed.sha256)
    module, function = LOADERS[parsed.format].split(":")
    network, description = getattr(import_module(module), function)(parsed)
    check_kind(parsed.owner, description.kind, kind)
    if description.shape.in_channels != CHANNELS:
        raise UserError(
            f"{parsed.owner} is made for images of {description.shape.in_channels} channels, and the images of a study"
            f" have {CHANNELS}; use one that was trained on colour images (grey ones have three equal channels)."
        )
    if description.kind == "noisy-classifier":
        network.classes = description.classes and tuple(description.classes)
        return network
    if description.kind == "autoencoder":
        return Autoencoder(network, full_schedule(**description.schedule), description.predicts)
    return Denoiser(network, full_schedule(**description.schedule), description.predicts, description.variance)
