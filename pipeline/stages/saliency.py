"""Explain each image by the map of every method of the study."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.wrap import Classifier
from pipeline.infill.file import open_infill
from pipeline.methods.base import SaliencyMethod
from pipeline.rows import Key, RowStore
from pipeline.stages.common import job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.explained import explained_rows
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.networks import filler_identity, network_identity
from pipeline.tables import TableWriter, pack, row_id

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
    chosen, filling = read_options("saliency", options), read_weights(fillers or [])
    entry, known = chosen.networks[classifier], json.loads(identity.read_text())
    with job("saliency", chosen.study, saliency) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen.explained_class, rows)
        with account.clock("load"):
            network = account.place(load_classifier(classifier, entry, seed=chosen.seed, identity=known))
        identified = network_identity(entry, known, chosen.seed)
        inputs = {"images": [images], "predictions": [predictions]}
        told = provenance("saliency", chosen, code, inputs, weights={classifier: known, **filling}, rows=rows)
        with TableWriter(saliency, "saliency", told) as table:
            for name in chosen.explains[classifier]:
                method = chosen.methods[name]
                filler = filler_identity(filling[method.filler]) if method.filler else None
                maps = keep(
                    f"saliency {classifier} {name}",
                    RowStore(
                        store,
                        "saliency",
                        method.method,
                        method.deciding(identified, chosen.seed, filler),
                        kept_columns("saliency"),
                    ),
                    explained,
                    key_of,
                    partial(make_maps, method, network, chosen),
                    account,
                    stored_at_once=STORED_AT_ONCE,
                    batch_size=BATCH,
                )
                with account.clock("tables"):
                    table.extend(table_rows(name, classifier, method, explained, maps.to_pylist()))
            account.rows = table.rows


def key_of(row: Row) -> Key:
    return Key(row["image_id"], row["content"], str(row["explained"]))


def make_maps(method: SaliencyMethod, classifier: Classifier, chosen: Any, batch: Batch) -> tuple[list[Row], int]:
    """The maps of a batch as they are kept, and the network evaluations that they took. chosen: the options."""
    explain, choice, images = method.function(), method.options().get("infill"), batch.images()
    spent = method.spends(*images.shape[-2:])
    batch.expect(spent.network_evaluations, spent.rows_together)
    found = explain(
        classifier,
        images,
        batch.column("explained"),
        noise=batch.noise(chosen.seed, method.purpose()),
        infill=open_infill(choice, chosen.fillers).to(batch.device) if choice else None,
        batch_size=batch.size.rows,
        **method.keywords(),
    )
    rows = [
        {
            "map": pack("saliency", "map", found.map[index].cpu().numpy()),
            "shape": list(found.map[index].shape),
            "objective_value": None if found.objective is None else float(found.objective[index]),
            "steps": None if found.steps is None else int(found.steps[index]),
            "network_evaluations": int(found.network_evaluations[index]),
        }
        for index in range(len(batch.rows))
    ]
    return rows, int(found.network_evaluations.sum())


def table_rows(name: str, classifier: str, method: SaliencyMethod, rows: list[Row], kept: list[Row]) -> list[Row]:
    """The rows of one method, in the order of the images."""
    return [
        {
            **found,
            "row_id": row_id(classifier, name, row["image_id"]),
            "image_id": row["image_id"],
            "classifier": classifier,
            "method": name,
            "target": row["explained"],
            "infill": method.filled_in,
            "objective": getattr(method, "objective", None),
        }
        for row, found in zip(rows, kept, strict=True)
    ]
