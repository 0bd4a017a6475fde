"""Explain each image by the map of every method of the study."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.device import BatchSize, pick_device, place
from pipeline.explain.maps import Maps
from pipeline.images import to_tensor
from pipeline.infill import Infill
from pipeline.infill.file import open_infill
from pipeline.methods import parse_method
from pipeline.methods.base import SaliencyMethod
from pipeline.noise import Noise
from pipeline.progress import bar
from pipeline.rows import Key, RowStore
from pipeline.stages.common import Job, job, provenance, read_weights
from pipeline.stages.explained import explained_rows
from pipeline.stages.networks import filler_identity, network_identity
from pipeline.tables import KEPT, TableWriter, pack, row_id

STORED_AT_ONCE = 96  # images; a killed job computes at most these again
BATCH = 96  # rows that go through the classifier at once

Row = dict[str, Any]


def saliency(
    options: str,
    code: str,
    rows: int,
    images: Path,
    predictions: Path,
    classifier: str,
    identity: Path,
    store: Path,
    saliency: Path,
    fillers: list[Path] | None = None,
) -> None:
    """Write one row per method and image: the map that explains the classifier's decision. Known maps are looked up.

    rows: how many images of the part are explained, the first ones. fillers: identities of in-fillers with weights.
    """
    chosen, filling = json.loads(options), read_weights(fillers or [])
    entry, known = chosen["networks"][classifier], json.loads(identity.read_text())
    with job("saliency", chosen["study"], saliency) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen["explained_class"], rows)
        account.device = device = pick_device()
        with account.clock("load"):
            network = place(load_classifier(classifier, entry, seed=chosen["seed"], identity=known), device)
        identified = network_identity(entry, known, chosen["seed"])
        inputs = {"images": [images], "predictions": [predictions]}
        told = provenance("saliency", chosen, code, inputs, weights={classifier: known, **filling}, rows=rows)
        with TableWriter(saliency, "saliency", told) as table:
            for name in chosen["explains"][classifier]:
                method = parse_method(chosen["methods"][name], "saliency")
                filler = filler_identity(filling[method.filler]) if method.filler else None
                deciding = method.deciding(identified, chosen["seed"], filler)
                maps = RowStore(store, "saliency", method.method, deciding, KEPT["saliency"])
                with account.clock("compute"):
                    compute_missing(name, network, explained, method, maps, chosen, account)
                with account.clock("tables"):
                    table.extend(table_rows(name, classifier, method, explained, maps))
            account.rows = table.rows


def key_of(row: Row) -> Key:
    return Key(row["image_id"], row["content"], str(row["explained"]))


def compute_missing(
    name: str,
    classifier: Classifier,
    rows: list[Row],
    method: SaliencyMethod,
    store: RowStore,
    chosen: dict[str, Any],
    account: Job,
) -> None:
    """Make the maps that the store lacks, and store them batch by batch. chosen: the options of the stage."""
    explain, purpose, options = method.function(), method.purpose(), method.keywords()
    by_key = {key_of(row): row for row in rows}

    batch_size = BatchSize(BATCH)

    @cache
    def infill() -> Infill | None:  # it is loaded only if there is something to make
        choice = method.options().get("infill")
        return open_infill(choice, chosen["fillers"]).to(account.device) if choice else None

    def explain_batch(keys: list[Key]) -> list[Row]:
        batch = [by_key[key] for key in keys]
        maps = None
        while maps is None:
            maps = attempt(
                explain,
                classifier,
                to_tensor([row["image"] for row in batch]).to(account.device),
                torch.tensor([row["explained"] for row in batch], device=account.device),
                noise=Noise(chosen["seed"], [row["image_id"] for row in batch], purpose).to(account.device),
                infill=infill(),
                batch_size=batch_size.rows,
                **options,
            )
            if maps is None:
                batch_size.halve(account.device)
        account.clock.count(int(maps.network_evaluations.sum()))
        return [
            {
                "map": pack("saliency", "map", maps.map[index].cpu().numpy()),
                "shape": list(maps.map[index].shape),
                "objective_value": None if maps.objective is None else float(maps.objective[index]),
                "steps": None if maps.steps is None else int(maps.steps[index]),
                "network_evaluations": int(maps.network_evaluations[index]),
            }
            for index in range(len(batch))
        ]

    with bar(f"saliency {classifier.name} {name}", len(by_key)) as progress:
        account.rows_computed += store.compute(list(by_key), explain_batch, STORED_AT_ONCE, progress.advance)


def attempt(explain: Callable[..., Maps], *arguments: Any, **options: Any) -> Maps | None:
    """The maps, or None where the card has too little memory, which is free again once this frame is left."""
    try:
        return explain(*arguments, **options)
    except torch.OutOfMemoryError:
        pass
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def table_rows(name: str, classifier: str, method: SaliencyMethod, rows: list[Row], store: RowStore) -> list[Row]:
    """The rows of one method, in the order of the images."""
    found = store.select([key_of(row) for row in rows]).to_pylist()
    return [
        {
            **kept,
            "row_id": row_id(classifier, name, row["image_id"]),
            "image_id": row["image_id"],
            "classifier": classifier,
            "method": name,
            "target": row["explained"],
            "infill": method.filled_in,
            "objective": getattr(method, "objective", None),
        }
        for row, kept in zip(rows, found, strict=True)
    ]
