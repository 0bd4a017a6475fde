"""Encode images by the autoencoders of a study: what they show, and the noise of their details."""

from pathlib import Path

from pipeline.stages.coding import code_row, encoded, encodings
from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.tables import TableWriter, read_table


def encode(options: str, code: str, rows: int, images: Path, identities: list[Path], store: Path, codes: Path) -> None:
    """Write one row per autoencoder, with its steps, and image: its code, and how well that restores the image.

    rows: how many images of the part are encoded, the first whole ones. Rows that are known are looked up.
    """
    chosen, known = read_options("encode", options), read_weights(identities)
    with job("encode", chosen.study, codes) as account:
        columns = ["image_id", "content", "image", "status"]
        wanted = [row for row in read_table(images, "images", columns).to_pylist() if row["status"] == "ok"][:rows]
        told = provenance("encode", chosen, code, {"images": [images]}, weights=known, rows=rows)
        with TableWriter(codes, "codes", told) as table:
            for method in encodings(chosen.methods):
                kept = encoded(method, wanted, chosen, known, store, account)
                table.extend([code_row(method, row, found) for row, found in zip(wanted, kept, strict=True)])
            account.rows = table.rows
