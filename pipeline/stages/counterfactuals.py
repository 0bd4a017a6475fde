"""Change each image so that a classifier decides for another class, by every method of the study."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.datasets.transform import fit, fit_mask
from pipeline.device import in_batches
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.images import content, decode_png, from_tensor, image_struct, to_tensor
from pipeline.methods.base import CounterfactualMethod
from pipeline.rows import Key, RowStore
from pipeline.stages.common import job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.counterfactual_table import room, table_row
from pipeline.stages.explained import explained_rows
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.stages.regions import confined, read_maps
from pipeline.stages.targets import wanted_rows
from pipeline.tables import TableWriter

BATCH = 24  # rows that are made and stored at once; a killed job makes at most these again
NOT_FINITE = "the method led to pixels that are no numbers; weaken its guidance"

Row = dict[str, Any]


def counterfactuals(
    options: str,
    code: str,
    rows: int,
    before: int,
    images: Path,
    predictions: Path,
    classifier: str,
    identities: list[Path],
    store: Path,
    counterfactuals: Path,
    all_predictions: list[Path] | None = None,
    saliency: list[Path] | None = None,
) -> None:
    """Write one row per method, image, target and sample: the counterfactual, and what the classifier says of it.

    rows: how many images of the part are explained, the first ones. before: how many stand in the parts before it.
    identities: of the classifier, and of all networks and generators that its methods use. all_predictions: of the
    whole study, where a target follows from all of its images. saliency: the maps of the part, where a region follows
    from them. Rows that are known are looked up.
    """
    chosen = read_options("counterfactuals", options)
    known = read_weights(identities)
    with job("counterfactuals", chosen.study, counterfactuals) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen.explained_class, rows)
        networks = Networks(chosen, account, known)
        judged = networks.classifier(classifier)
        wanted = {
            name: wanted_rows(
                name, chosen, judged, explained[: room(chosen.wanted[name].rows, before)], all_predictions or []
            )
            for name in chosen.explains[classifier]
        }
        maps = read_maps(saliency or [], classifier)
        inputs = {
            "images": [images],
            "predictions": [predictions, *(all_predictions or [])],
            "saliency": saliency or [],
        }
        told = provenance("counterfactuals", chosen, code, inputs, weights=known, rows=rows, before=before)
        with TableWriter(counterfactuals, "counterfactuals", told) as table:
            for name, of_method in wanted.items():
                method = chosen.methods[name]
                if method.is_confined:
                    of_method = confined(f"counterfactuals.{name}", method, of_method, maps)
                deciding = method.deciding(
                    identity_of(classifier, chosen, known),
                    {role: identity_of(part, chosen, known) for role, part in method.parts().items()},
                    chosen.seed,
                )
                made = keep(
                    f"counterfactuals {classifier} {name}",
                    RowStore(store, "counterfactuals", method.method, deciding, kept_columns("counterfactuals")),
                    of_method,
                    key_of,
                    partial(make_images, method, networks, judged),
                    account,
                    stored_at_once=BATCH,
                    batch_size=BATCH,
                )
                with account.clock("tables"):
                    table.extend(table_rows(name, classifier, of_method, made.to_pylist()))
            account.rows = table.rows


def identity_of(name: str, options: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what a network or generator of the study computes."""
    if name in options.generators:
        return generator_identity(options.generators[name], known[name])
    return network_identity(options.networks[name], known[name], options.seed)


def key_of(row: Row) -> Key:
    return Key(row["image_id"], row["content"], str(row["target"]), row["sample"])


def make_images(
    method: CounterfactualMethod, networks: Networks, judged: Classifier, batch: Batch
) -> tuple[list[Row], int]:
    """The counterfactuals of a batch as they are kept, and the network evaluations that they and their judgement took.

    Other networks than the one that is judged are loaded here, and so only where there is something to make.
    """
    loaded = parts_of(method, networks)
    size = loaded["denoiser"].network.shape.size if "denoiser" in loaded else None
    sources = to_tensor([fit(decode_png(row["image"]["bytes"]), size) for row in batch.rows])
    if method.is_confined:
        regions = np.stack([fit_mask(row["region"], size) for row in batch.rows])
        loaded["region"] = torch.from_numpy(regions).to(batch.device)
    batch.expect(1 + sum(count.network_evaluations for count in method.spends().values()))
    explain: Callable[..., Counterfactuals] = method.function()
    found = explain(
        judged,
        sources.to(batch.device),
        batch.column("target"),
        noise=batch.noise(networks.options.seed, method.purpose()),
        batch_size=batch.size,
        **method.keywords(),
        **loaded,
    )
    finite = found.images.isfinite().flatten(1).all(1).tolist()
    images = from_tensor(found.images.nan_to_num(0, 0, 0))
    with torch.inference_mode():  # as they are stored, with 8 bits a value
        logits = in_batches(judged, to_tensor(list(images)), batch_size=batch.size, device=batch.device).numpy()
    evaluations = (found.classifier_evaluations + found.denoiser_evaluations).tolist()
    rows = [
        stored(*row) if whole else failed() for whole, *row in zip(finite, images, logits, evaluations, strict=True)
    ]
    return rows, sum(evaluations) + len(rows)


def parts_of(method: CounterfactualMethod, networks: Networks) -> dict[str, Any]:
    """The networks that a method names, by the keywords of its function."""
    parts, loaded = method.parts(), {}
    if "generator" in parts:
        loaded["denoiser"] = networks.denoiser(parts["generator"])
    if "guide" in parts:
        loaded["guide"] = networks.guide(parts["guide"], loaded["denoiser"])
    if "helper" in parts:
        loaded["helper"] = networks.classifier(parts["helper"])
    return loaded


def stored(image: np.ndarray, logits: np.ndarray, evaluations: int) -> Row:
    return {
        "image": image_struct(image),
        "content": content(image),
        "logits": logits.tolist(),
        "network_evaluations": evaluations,
    }


def failed() -> Row:
    return {"status": "failed", "reason": NOT_FINITE}


def table_rows(name: str, classifier: str, rows: Sequence[Row], kept: Sequence[Row]) -> list[Row]:
    """The rows of one method, in the order of images, targets and samples."""
    return [table_row(name, classifier, *pair) for pair in zip(rows, kept, strict=True)]
