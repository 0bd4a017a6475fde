"""Codes of images as stages keep them, and images of codes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.datasets.transform import fit
from pipeline.device import in_batches
from pipeline.diffusion.autoencoder import Autoencoder, Codes
from pipeline.fingerprint import canonical_json
from pipeline.images import decode_png, to_tensor
from pipeline.methods.base import DirectionMethod
from pipeline.rows import Key, RowStore
from pipeline.stages.common import Job, kept_columns
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity
from pipeline.tables import pack, row_id

BATCH = 16
STORED_AT_ONCE = BATCH
NOT_FINITE = "the autoencoder led to numbers that are none; use more steps, or another autoencoder"

Row = dict[str, Any]


def encodings(methods: Mapping[str, DirectionMethod]) -> list[DirectionMethod]:
    """Of the methods one for each encoding, that which needs most images."""
    found: dict[str, DirectionMethod] = {}
    for method in methods.values():
        key = canonical_json(method.encoding())
        if key not in found or method.images > found[key].images:
            found[key] = method
    return list(found.values())


def encoded(
    method: DirectionMethod, rows: Sequence[Row], options: Any, known: Row, store: Path, account: Job
) -> list[Row]:
    """What the row store keeps of the codes of images, which are encoded where it lacks them."""
    name = method.autoencoder
    deciding = method.deciding_codes(generator_identity(options.generators[name], known[name]))
    return keep(
        f"encode {name}",
        RowStore(store, "encode", "ddim", deciding, kept_columns("encode")),
        rows,
        lambda row: Key(row["image_id"], row["content"]),
        partial(make_codes, method, Networks(options, account, known)),
        account,
        stored_at_once=STORED_AT_ONCE,
        batch_size=BATCH,
    ).to_pylist()


def make_codes(method: DirectionMethod, networks: Networks, batch: Batch) -> tuple[list[Row], int]:
    """The codes of a batch as they are kept, and the network evaluations that they took."""
    autoencoder = networks.autoencoder(method.autoencoder)
    images = to_tensor([fit(decode_png(row["image"]["bytes"]), autoencoder.size) for row in batch.rows])

    evaluations = 1 + method.encode_steps + method.decode_steps

    def there_and_back(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes = autoencoder.encode(images, method.encode_steps)
        kept = Codes(codes.semantic, codes.noise.half().float())  # as they are stored
        error = (autoencoder.decode(kept, method.decode_steps) - images).square().flatten(1).mean(1)
        networks.account.passed(evaluations * len(images))
        return *codes, error

    batch.expect(evaluations)
    found = in_batches(there_and_back, images, batch_size=batch.size, device=batch.device)
    rows = [
        {
            "semantic": semantic.tolist(),
            "noise": pack("codes", "noise", noise.numpy()),
            "shape": list(noise.shape),
            "reconstruction_error": float(error),
            "network_evaluations": evaluations,
        }
        if semantic.isfinite().all() and noise.isfinite().all()
        else {"status": "failed", "reason": NOT_FINITE}
        for semantic, noise, error in zip(*found, strict=True)
    ]
    return rows, evaluations * len(rows)


def code_row(method: DirectionMethod, row: Row, kept: Row) -> Row:
    """The row of the table."""
    steps = (method.encode_steps, method.decode_steps)
    return {
        **kept,
        "row_id": row_id(method.autoencoder, *steps, row["image_id"]),
        "image_id": row["image_id"],
        "content": row["content"],
        "autoencoder": method.autoencoder,
        "encode_steps": steps[0],
        "decode_steps": steps[1],
    }


def decoder(autoencoder: Autoencoder, steps: int, passed: Callable[[int], object]) -> Callable[[Codes], Tensor]:
    """Decodes codes as images that are stored with 8 bits a value; `passed` is told of the passes that this takes."""

    def decode(codes: Codes) -> Tensor:
        images = autoencoder.decode(codes, steps)
        passed(len(images) * steps)
        return (images * 255).round() / 255

    return decode
