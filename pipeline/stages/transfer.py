"""Lead each image along the directions of a classifier, to the smallest step at which it decides otherwise."""

from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.explain.transfer import Way
from pipeline.explain.transfer import transfer as follow
from pipeline.fingerprint import digest
from pipeline.images import content, from_tensor, image_struct, to_tensor
from pipeline.methods.base import WAY, DirectionMethod
from pipeline.rows import Key, RowStore
from pipeline.stages.coding import NOT_FINITE, decoder
from pipeline.stages.common import job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.counterfactual_table import room, table_row
from pipeline.stages.explained import explained_rows
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.led import Led, read_directions, whole_codes, with_codes
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.tables import TableWriter

BATCH = 12  # 24 images are two of them

Row = dict[str, Any]


def transfer(
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
    counterfactuals: Path,
) -> None:
    """Write one row per direction and image: where its code is decided otherwise, or the end of the way.

    rows: how many images of the part are explained, the first ones. before: how many stand in the parts before it.
    Rows that are known are looked up.
    """
    chosen, known = read_options("transfer", options), read_weights(identities)
    with job("transfer", chosen.study, counterfactuals) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen.explained_class, rows)
            found = read_directions(directions)
        networks = Networks(chosen, account, known)
        judged = networks.classifier(classifier)
        inputs = {"images": [images], "predictions": [predictions], "codes": [codes], "directions": directions}
        told = provenance("transfer", chosen, code, inputs, weights=known, rows=rows, before=before)
        with TableWriter(counterfactuals, "counterfactuals", told) as table:
            for name in chosen.explains[classifier]:
                method, led = chosen.methods[name], found[name]
                own = explained[: room(chosen.rows[name], before)]
                wanted = [{**row, "target": led.target_of(row["explained"]), "sample": 0} for row in own]
                if led.vector is None:
                    kept = [{"status": "failed", "reason": led.reason}] * len(wanted)
                else:
                    wanted = with_codes(wanted, codes, method)
                    network = network_identity(chosen.networks[classifier], known[classifier], chosen.seed)
                    part = generator_identity(chosen.generators[method.autoencoder], known[method.autoencoder])
                    kept = keep(
                        f"transfer {classifier} {name}",
                        RowStore(
                            store, "transfer", "way", method.deciding_transfer(network, part), kept_columns("transfer")
                        ),
                        wanted,
                        partial(key_of, led.identity),
                        partial(lead, method, led, networks, judged),
                        account,
                        stored_at_once=2 * BATCH,
                        batch_size=BATCH,
                    ).to_pylist()
                with account.clock("tables"):
                    pairs = zip(wanted, kept, strict=True)
                    table.extend([{**table_row(name, classifier, *pair), "direction": led.row_id} for pair in pairs])
            account.rows = table.rows


def key_of(vector: str, row: Row) -> Key:
    """vector: the digest of the direction."""
    return Key(row["image_id"], digest([row["content"], vector]), str(row["target"]))


def lead(
    method: DirectionMethod, led: Led, networks: Networks, judged: Classifier, batch: Batch
) -> tuple[list[Row], int]:
    """The images of a batch where their ways end, as they are kept, and the network evaluations that these took."""
    rows, whole, told = whole_codes(batch.rows)
    if not whole:
        return rows, 0
    targets = torch.tensor([batch.rows[place]["target"] for place in whole])
    decode = decoder(networks.autoencoder(method.autoencoder), method.decode_steps, networks.account.passed)
    batch.expect(method.transferring() * (1 + method.decode_steps))
    way = Way(**{key: getattr(method, key) for key in WAY})
    with torch.inference_mode():
        found = follow(
            decode,
            judged,
            told,
            targets,
            led.moves(targets),
            way,
            batch_size=batch.size,
            device=batch.device,
        )
        finite = found.images.isfinite().flatten(1).all(1).tolist()
        images = from_tensor(found.images.nan_to_num(0, 0, 0))
        logits = in_batches(judged, to_tensor(list(images)), batch_size=batch.size, device=batch.device)
    evaluations = (found.decodes * (1 + method.decode_steps)).tolist()
    for place, drawn, image, said, strength, taken in zip(
        whole, finite, images, logits.tolist(), found.strength.tolist(), evaluations, strict=True
    ):
        rows[place] = (
            {"status": "failed", "reason": NOT_FINITE}
            if not drawn
            else {
                "image": image_struct(image),
                "content": content(image),
                "strength": strength,
                "logits": said,
                "network_evaluations": taken,
            }
        )
    return rows, sum(evaluations) + len(whole)
