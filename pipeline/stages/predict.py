"""Run every network on images and interventions."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import torch

from pipeline.classifiers.checks import check_logits
from pipeline.classifiers.load import load_classifier
from pipeline.classifiers.probation import try_out
from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.images import decode_png, to_tensor
from pipeline.rows import Key, RowStore
from pipeline.stages.common import Job, job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.labels import class_index
from pipeline.stages.networks import network_identity
from pipeline.tables import TableWriter, read_provenance, read_table, row_id

BATCH = 64
STORED_AT_ONCE = 512  # rows; a killed job computes at most these again

Row = dict[str, Any]
Heads = dict[str, list[str]]


def predict(
    options: str,
    code: str,
    images: Path,
    identities: list[Path],
    store: Path,
    predictions: Path,
    interventions: Path | None = None,
) -> None:
    """Write one row per network, task, and image or intervention; logits in the row store are not computed again."""
    chosen = read_options("predict", options)
    with job("predict", chosen.study, predictions) as account:
        with account.clock("tables"):
            rows = read_rows(images, interventions, chosen.world)
            dataset_tasks = read_provenance(images)["tasks"]
        found: dict[str, pyarrow.Table] = {}
        tasks: dict[str, Heads] = {}
        for path in identities:
            tasks[path.stem], found[path.stem] = ask(path, chosen, rows, store, account)
        told = provenance(
            "predict",
            chosen,
            code,
            {"images": [images], "interventions": [interventions] if interventions else []},
            weights=read_weights(identities),
            tasks=tasks,
        )
        with account.clock("tables"), TableWriter(predictions, "predictions", told) as table:
            for name, heads in tasks.items():
                table.extend(prediction_rows(name, heads, rows, found[name].to_pylist(), dataset_tasks))
            account.rows = table.rows


def read_rows(images: Path, interventions: Path | None, world_name: str | None) -> list[Row]:
    """The images and interventions that can be judged: source, row_id, content, pixels, and the labels by task."""
    columns = ["row_id", "image_id", "status", "content", "image", "attributes", "concepts"]
    rows = [row for row in read_table(images, "images", columns).to_pylist() if row["status"] == "ok"]
    for row in rows:
        row.update(source="images", labels=dict(row["attributes"] or {}))
    if interventions is None:
        return rows
    from pipeline.worlds import load_world

    world = load_world(world_name)
    concepts = {row["image_id"]: dict(row["concepts"]) for row in rows}
    columns = ["row_id", "image_id", "status", "content", "image", "concept", "value"]
    for row in read_table(interventions, "interventions", columns).to_pylist():
        labels = world.labels({**concepts[row["image_id"]], row["concept"]: row["value"]})
        rows.append({**row, "source": "interventions", "labels": labels})
    return rows


def ask(identity: Path, options: Any, rows: Sequence[Row], store: Path, account: Job) -> tuple[Heads, pyarrow.Table]:
    """The tasks of the network that has the name of its identity's file, and its logits of the rows, in their order."""
    name, seed = identity.stem, options.seed
    entry = options.networks[name]
    with account.clock("load"):
        known = json.loads(identity.read_text())
        classifier = account.place(load_classifier(name, entry, seed=seed, identity=known))

    @cache
    def tried_out() -> Classifier:
        try_out(classifier, to_tensor([rows[0]["image"]]).to(account.device))
        return classifier

    found = keep(
        f"predict {name}",
        RowStore(store, "predict", "logits", network_identity(entry, known, seed), kept_columns("predict")),
        rows,
        key_of,
        lambda batch: make_logits(tried_out(), batch),
        account,
        stored_at_once=STORED_AT_ONCE,
        batch_size=BATCH,
    )
    return {task: list(head.classes) for task, head in classifier.heads.items()}, found


def key_of(row: Row) -> Key:
    """What a network looks at; a row that many may share, such as the same pixels by two methods, says so by `key`."""
    return Key(row.get("key", row["row_id"]), row["content"])


@torch.inference_mode()
def make_logits(classifier: Classifier, batch: Batch) -> tuple[list[Row], int]:
    """The logits of images as they are, of one size after the other, and the network evaluations that they took."""
    pixels = [decode_png(row["image"]["bytes"]) for row in batch.rows]
    found: dict[int, Row] = {}
    for shape in dict.fromkeys(image.shape for image in pixels):
        places = [place for place, image in enumerate(pixels) if image.shape == shape]
        images = to_tensor([pixels[place] for place in places])
        logits = in_batches(classifier, images, batch_size=batch.size, device=batch.device)
        check_logits(classifier.name, logits, classifier.classes)
        found |= {place: {"logits": values} for place, values in zip(places, logits.numpy(), strict=True)}
    return [found[place] for place in range(len(pixels))], len(pixels)


def prediction_rows(
    name: str,
    heads: dict[str, list[str]],
    rows: Sequence[Row],
    logits: Sequence[Row],
    dataset_tasks: dict[str, list[str]],
) -> list[Row]:
    """The table's rows of one network: one per row and task."""
    written = []
    for row, found in zip(rows, logits, strict=True):
        values, start = np.asarray(found["logits"], np.float32), 0
        for task, classes in heads.items():
            named = {
                "row_id": row_id(name, task, row["row_id"]),
                "image_id": row["image_id"],
                "classifier": name,
                "status": found["status"],
                "reason": found["reason"],
                "source": row["source"],
                "source_row_id": row["row_id"],
                "task": task,
            }
            if found["status"] != "ok":
                written.append(named)
                continue
            scores = values[start : start + len(classes)]
            start += len(classes)
            shares = np.exp(scores - scores.max())
            written.append(
                {
                    **named,
                    "logits": scores.tolist(),
                    "predicted": int(scores.argmax()),
                    "confidence": float(shares.max() / shares.sum()),
                    "label": class_index(name, task, classes, row["labels"].get(task), dataset_tasks.get(task)),
                }
            )
    return written
