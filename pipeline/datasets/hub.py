"""Datasets of the Hugging Face Hub: downloaded once, then read from the library's cache, also without a network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import UserError

if TYPE_CHECKING:
    from datasets import DatasetDict

# Seconds after which the Hub counts as unreachable: a study must not hang because there is no network.
TIMEOUT = 10.0
INSTEAD = "or set dataset.huggingface to a local path, for example data/birds.parquet"


def load_from_hub(name: str, configuration: str | None, revision: str | None) -> DatasetDict:
    """All splits of a dataset on the Hub; UserError when there is none, or no network and no copy in the cache.

    Without a network only a copy of exactly the revision asked for will do, when one is asked for.
    """
    from datasets import load_dataset
    from huggingface_hub import HfApi, errors
    from huggingface_hub.utils import httpx

    try:
        commit = HfApi().dataset_info(name, revision=revision, timeout=TIMEOUT).sha
    except errors.HFValidationError:
        raise UserError(
            f'"{name}" is neither a file or folder here nor a name on the Hugging Face Hub; set dataset.huggingface to '
            "a path that exists or to a name like owner/dataset."
        ) from None
    except errors.GatedRepoError:
        raise UserError(
            f'the dataset "{name}" is gated; accept its terms at https://huggingface.co/datasets/{name} and run '
            f"`hf auth login`, {INSTEAD}."
        ) from None
    except errors.RevisionNotFoundError:
        raise UserError(f'the dataset "{name}" has no revision "{revision}"; set dataset.revision to main.') from None
    except errors.RepositoryNotFoundError:
        raise UserError(
            f'there is no dataset "{name}", neither here nor on the Hugging Face Hub (a private one needs '
            f"`hf auth login`); correct the name, {INSTEAD}."
        ) from None
    except (errors.OfflineModeIsEnabled, errors.HfHubHTTPError, httpx.TransportError):
        return _load_cached(name, configuration, revision)
    try:
        return load_dataset(name, configuration, revision=commit)
    except (ConnectionError, errors.HfHubHTTPError, httpx.TransportError) as error:
        raise UserError(
            f'the download of the dataset "{name}" broke off ({type(error).__name__}); run again, {INSTEAD}.'
        ) from None


def _load_cached(name: str, configuration: str | None, revision: str | None) -> DatasetDict:
    from datasets import load_dataset

    if not _is_cached(name, revision):
        at = f" at revision {revision}" if revision else ""
        raise UserError(
            f'the Hugging Face Hub cannot be reached and the dataset "{name}"{at} is not in the cache; run once with a '
            f"network, {INSTEAD}."
        )
    splits = load_dataset(name, configuration)
    used = [file["filename"] for split in splits.values() for file in split.cache_files]
    if revision and not all(revision in Path(file).parts for file in used):
        raise UserError(
            f'the Hugging Face Hub cannot be reached and the dataset "{name}" is in the cache at another revision than '
            f"{revision}; run once with a network, or set dataset.revision to {Path(used[0]).parent.name}."
        )
    return splits


def _is_cached(name: str, revision: str | None) -> bool:
    """Whether the cache holds a converted copy: <owner>___<name>/<config>/<version>/<commit>."""
    from datasets import config
    from datasets.naming import camelcase_to_snakecase

    *owner, last = name.split("/")
    folder = Path(config.HF_DATASETS_CACHE).expanduser() / "___".join([*owner, camelcase_to_snakecase(last)])
    return any(folder.glob(f"*/*/{revision or '*'}"))
