"""Pretrained weights of the hub: downloaded once, then read from its cache; never a long wait without a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from pipeline.classifiers.architecture import create_network
from pipeline.classifiers.entry import Network
from pipeline.digests import check_digest
from pipeline.errors import UserError

SECONDS_TO_ANSWER = 5


def pretrained_network(entry: Network) -> torch.nn.Module:
    """The timm network with its pretrained weights; UserError if they can neither be found nor fetched."""
    try:
        with cache_only_if_unreachable():
            network = create_network(entry.name, entry.source, entry.arguments, pretrained=True)
    except OSError as error:
        raise UserError(
            f"classifier '{entry.name}': the pretrained weights of {entry.source} are not in the cache and cannot be"
            f" fetched ({type(error).__name__}); connect to the network once, or give a local file, such as"
            " `checkpoint: resources/weights.safetensors`."
        ) from error
    except RuntimeError as error:
        raise UserError(
            f"classifier '{entry.name}': timm has no usable pretrained weights for {entry.source}"
            f" ({str(error).splitlines()[0]}); `timm.list_pretrained()` lists the names that have, or give a local"
            " file, such as `checkpoint: resources/weights.safetensors`."
        ) from error
    channels = network.pretrained_cfg["input_size"][0]
    if entry.channels not in (None, channels):
        raise UserError(
            f"classifier '{entry.name}': channels is {entry.channels}, but the pretrained weights take {channels};"
            " leave channels out (images are adapted)."
        )
    if entry.sha256 is not None:
        check_digest(f"classifier '{entry.name}'", cached_weights(entry, network), entry.sha256)
    return network


def cached_weights(entry: Network, network: torch.nn.Module) -> Path:
    """The file in the hub's cache that the network was read from."""
    from huggingface_hub import try_to_load_from_cache

    configuration = network.pretrained_cfg
    repository, _, revision = (configuration.get("hf_hub_id") or "").partition("@")
    names = [configuration.get("hf_hub_filename"), "model.safetensors", "pytorch_model.bin"]
    for name in filter(None, names if repository else []):
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    raise UserError(
        f"classifier '{entry.name}': sha256 cannot be checked, since {entry.source} is not kept as one file of the hub;"
        " leave sha256 out, or download the file and give it as `checkpoint`."
    )


@contextmanager
def cache_only_if_unreachable() -> Iterator[None]:
    """Within, the hub is not asked if it does not answer at once; huggingface_hub alone retries for most of a"
    " minute."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not answers(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def answers(address: str) -> bool:
    """Whether a server answers at all, with whatever status."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    try:
        with urlopen(Request(address, method="HEAD"), timeout=SECONDS_TO_ANSWER):
            return True
    except HTTPError:
        return True
    except OSError:
        return False
