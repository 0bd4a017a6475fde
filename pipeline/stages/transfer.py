"""Lead each image along the directions of a classifier, to the smallest step at which it decides otherwise."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.device import in_batches
from pipeline.diffusion.autoencoder import Codes
from pipeline.explain.transfer import Way, moves_along
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
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.tables import TableWriter, read_table, unpack

BATCH = 12  # 24 images are two of them
NO_CODE = {"status": "failed", "reason": "the image was not encoded, as one before it could not be judged"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Led:
    """A direction as it was found, or why there is none. row_id: of its row. vector: (L,) of length 1."""

    row_id: str
    target: int
    origin: int
    vector: torch.Tensor | None
    unit: float | None
    reason: str | None

    def target_of(self, explained: int) -> int:
        """The class that an image of a class is led to."""
        return self.origin if explained == self.target else self.target


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
                        partial(key_of, digest([led.vector.tolist(), led.unit])),
                        partial(lead, method, led, networks, judged),
                        account,
                        stored_at_once=2 * BATCH,
                        batch_size=BATCH,
                    ).to_pylist()
                with account.clock("tables"):
                    pairs = zip(wanted, kept, strict=True)
                    table.extend([{**table_row(name, classifier, *pair), "direction": led.row_id} for pair in pairs])
            account.rows = table.rows


def read_directions(directions: Sequence[Path]) -> dict[str, Led]:
    """The directions of a classifier by method."""
    found = {}
    for row in read_table(directions, "directions").to_pylist():
        vector = None if row["status"] != "ok" else torch.tensor(row["vector"])
        found[row["method"]] = Led(row["row_id"], row["target"], row["origin"], vector, row["unit"], row["reason"])
    return found


def with_codes(rows: Sequence[Row], codes: Path, method: DirectionMethod) -> list[Row]:
    """Rows with the codes of their images."""
    encoded = {
        row["image_id"]: row
        for row in read_table(codes, "codes").to_pylist()
        if all(row[key] == value for key, value in method.encoding().items())
    }
    return [{**row, "code": encoded.get(row["image_id"], NO_CODE)} for row in rows]


def key_of(vector: str, row: Row) -> Key:
    """vector: the digest of the direction and its unit."""
    return Key(row["image_id"], digest([row["content"], vector]), str(row["target"]))


def lead(
    method: DirectionMethod, led: Led, networks: Networks, judged: Classifier, batch: Batch
) -> tuple[list[Row], int]:
    """The images of a batch where their ways end, as they are kept, and the network evaluations that these took."""
    codes = [row["code"] for row in batch.rows]
    whole = [place for place, code in enumerate(codes) if code["status"] == "ok"]
    rows: list[Row] = [{"status": "failed", "reason": code["reason"]} for code in codes]
    if not whole:
        return rows, 0
    noise = [unpack("codes", "noise", codes[place]["noise"], codes[place]["shape"]) for place in whole]
    told = Codes(
        torch.tensor([codes[place]["semantic"] for place in whole]),
        torch.stack([torch.from_numpy(each.copy()).float() for each in noise]),
    )
    targets = torch.tensor([batch.rows[place]["target"] for place in whole])
    moves = moves_along(led.vector, led.unit, torch.where(targets == led.target, 1, -1))
    decode = decoder(networks.autoencoder(method.autoencoder), method.decode_steps, networks.account.passed)
    batch.expect(method.transferring() * (1 + method.decode_steps))
    way = Way(**{key: getattr(method, key) for key in WAY})
    with torch.inference_mode():
        found = follow(
            decode,
            judged,
            told,
            targets,
            moves,
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
