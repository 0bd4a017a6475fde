"""Encode images of the split search, which no explanation is scored on."""

from pathlib import Path
from typing import Any

from pipeline.datasets import open_dataset
from pipeline.datasets.sampling import sample
from pipeline.images import content, image_struct
from pipeline.stages.coding import code_row, encoded, encodings
from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.tables import TableWriter

SPLIT = "search"


def encode_search(options: str, code: str, identities: list[Path], store: Path, codes: Path, files: str = "") -> None:
    """Write the images with their codes, the first whole ones of the split; broken ones are passed over.

    files: what is known of the dataset's files beforehand. Raises UserError where the split has too few images.
    """
    chosen, known = read_options("encode_search", options), read_weights(identities)
    with job("encode_search", chosen.study, codes) as account:
        source, methods = open_dataset(chosen.dataset, SPLIT, chosen.seed), encodings(chosen.methods)
        samples = [each for each in sample(source, max(method.images for method in methods)) if each.image is not None]
        wanted: list[dict[str, Any]] = [
            {
                "image_id": each.image_id,
                "content": content(each.image),
                "image": image_struct(each.image, f"{each.image_id}.png"),
                "attributes": each.attributes,
            }
            for each in samples
        ]
        tasks = {task: list(classes) for task, classes in source.tasks.items()}
        told = provenance("encode_search", chosen, code, {}, files=files, weights=known, tasks=tasks)
        with TableWriter(codes, "codes", told) as table:
            for method in methods:
                own = wanted[: method.images]
                for row, found in zip(own, encoded(method, own, chosen, known, store, account), strict=True):
                    shown = {"image": row["image"], "attributes": row["attributes"]}
                    table.extend([{**code_row(method, row, found), **shown}])
            account.rows = table.rows
