"""Explain each image by the maps of the pixels by which directions of a classifier change it."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier, log_odds
from pipeline.fingerprint import digest
from pipeline.images import decode_png
from pipeline.methods.base import AttributionMethod, DirectionMethod
from pipeline.metrics.truth_maps import at_size
from pipeline.rows import Key, RowStore
from pipeline.stages.coding import NOT_FINITE, decoder
from pipeline.stages.common import job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.counterfactual_table import room
from pipeline.stages.explained import explained_rows
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.led import Led, read_directions, whole_codes, with_codes
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.tables import TableWriter, pack, row_id

STORED_AT_ONCE = 4  # images, each of which fills batches of its own; a killed job computes at most these again
BATCH = 16  # places on the way of one image

Row = dict[str, Any]


def attribute(
    options: str,
    code: str,
    rows: int,
    before: int,
    images: Path,
    predictions: Path,
    codes: Path,
    directions: list[Path],
    classifier: str,
    identities: list[Path],
    store: Path,
    saliency: Path,
) -> None:
    """Write one row per method and image: the map of the pixels by which a direction takes its class away.

    rows: how many images of the part are explained, the first ones. before: how many stand in the parts before it.
    Rows that are known are looked up. Where there is no direction, all rows have failed.
    """
    chosen, known = read_options("attribute", options), read_weights(identities)
    with job("attribute", chosen.study, saliency) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen.explained_class, rows)
            found = read_directions(directions)
        networks = Networks(chosen, account, known)
        judged = networks.classifier(classifier)
        inputs = {"images": [images], "predictions": [predictions], "codes": [codes], "directions": directions}
        told = provenance("attribute", chosen, code, inputs, weights=known, rows=rows, before=before)
        with TableWriter(saliency, "saliency", told) as table:
            for name in chosen.explains[classifier]:
                method, own = chosen.methods[name], explained[: room(chosen.rows[name], before)]
                direction, led = chosen.directions[method.direction], found[method.direction]
                if led.vector is None:
                    kept = [{"status": "failed", "reason": led.reason}] * len(own)
                else:
                    network = network_identity(chosen.networks[classifier], known[classifier], chosen.seed)
                    part = generator_identity(chosen.generators[direction.autoencoder], known[direction.autoencoder])
                    deciding = method.deciding(network, part, direction)
                    kept = keep(
                        f"attribute {classifier} {name}",
                        RowStore(store, "attribute", method.method, deciding, kept_columns("attribute")),
                        with_codes(own, codes, direction),
                        partial(key_of, led),
                        partial(make_maps, method, direction, led, networks, judged),
                        account,
                        stored_at_once=STORED_AT_ONCE,
                        batch_size=BATCH,
                    ).to_pylist()
                with account.clock("tables"):
                    table.extend([table_row(name, classifier, *pair) for pair in zip(own, kept, strict=True)])
            account.rows = table.rows


def key_of(led: Led, row: Row) -> Key:
    return Key(row["image_id"], digest([row["content"], led.identity]), str(row["explained"]))


def make_maps(
    method: AttributionMethod,
    direction: DirectionMethod,
    led: Led,
    networks: Networks,
    judged: Classifier,
    batch: Batch,
) -> tuple[list[Row], int]:
    """The maps of a batch as they are kept, and the network evaluations that they took."""
    rows, whole, told = whole_codes(batch.rows)
    if not whole:
        return rows, 0
    explained = torch.tensor([batch.rows[place]["explained"] for place in whole])
    targets = torch.tensor([led.target_of(each) for each in explained.tolist()])
    decode = decoder(networks.autoencoder(direction.autoencoder), direction.decode_steps, networks.account.passed)

    def score(images: Tensor, target: int) -> Tensor:
        return log_odds(judged(images), torch.full((len(images),), target))

    batch.expect(method.decodes() * (1 + direction.decode_steps))
    with torch.inference_mode():
        found = method.function()(
            decode,
            score,
            told,
            explained,
            led.moves(targets),
            batch_size=batch.size,
            device=batch.device,
            **method.keywords(),
        )
    evaluations = (found.decodes * (1 + direction.decode_steps)).tolist()
    columns = (found.map.numpy(), found.strength.tolist(), found.reached.tolist(), evaluations)
    for place, map, strength, reached, taken in zip(whole, *columns, strict=True):
        if not np.isfinite(map).all():
            rows[place] = {"status": "failed", "reason": NOT_FINITE}
            continue
        map = spread(map, decode_png(batch.rows[place]["image"]["bytes"]).shape[:2])
        rows[place] = {
            "map": pack("saliency", "map", map),
            "shape": list(map.shape),
            "strength": strength if reached else None,
            "network_evaluations": taken,
        }
    return rows, sum(evaluations)


def spread(map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map of the middle square of an image at the size (H, W) of the image, with 0 around it.

    Resizing keeps the sum up to rounding.
    """
    whole, side = np.zeros(size, np.float32), min(size)
    top, left = ((each - side) // 2 for each in size)
    whole[top : top + side, left : left + side] = at_size(map, (side, side)) * (len(map) / side) ** 2
    return whole


def table_row(name: str, classifier: str, row: Row, kept: Row) -> Row:
    return {
        **kept,
        "row_id": row_id(classifier, name, row["image_id"]),
        "image_id": row["image_id"],
        "classifier": classifier,
        "method": name,
        "target": row["explained"],
    }
