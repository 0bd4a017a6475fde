"""Take the images of a study from its dataset."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.datasets import Sample, open_dataset
from pipeline.datasets.sampling import sample as sample_source
from pipeline.images import content, encode_mask, image_struct, to_tensor
from pipeline.progress import bar
from pipeline.stages.common import job, provenance, read_options, read_weights
from pipeline.stages.labels import class_index
from pipeline.tables import write_table


def sample(options: str, code: str, images: list[Path], files: str = "", identities: list[Path] | None = None) -> None:
    """Write the images, `shard_rows` to each part; broken ones stand, with their reason, where they were met.

    files: what is known of the dataset's files beforehand. identities: of the networks that must be right.
    """
    chosen = read_options("sample", options)
    dataset = chosen.dataset
    with job("sample", chosen.study, images[0]) as account:
        source = open_dataset(dataset.model_dump(mode="json"), dataset.split, chosen.seed)
        accept = judged_right(chosen, source.tasks) if chosen.networks else None
        with account.clock("compute"), bar("sample", dataset.rows) as progress:

            def read(image_id: str) -> Sample:
                progress.advance(1)
                return source.read(image_id)

            samples = sample_source(
                replace(source, read=read), dataset.rows, per_class=dataset.per_class, accept=accept
            )
        parts: list[list[dict[str, Any]]] = [[] for _ in images]
        whole = 0
        for image in samples:
            parts[min(whole // chosen.shard_rows, len(images) - 1)].append(image_row(image, dataset.split))
            whole += image.image is not None
        tasks = {task: list(classes) for task, classes in source.tasks.items()}
        weights = read_weights(identities or [])
        told = provenance("sample", chosen, code, {}, files=files, weights=weights, tasks=tasks)
        with account.clock("tables"):
            for path, rows in zip(images, parts, strict=True):
                write_table(path, "images", rows, told)
        account.rows = len(samples)


def judged_right(options: Any, tasks: Mapping[str, Sequence[str]]) -> Callable[[list[Sample]], list[bool]]:
    """A function that says which images every classifier of the options gives their label."""
    import torch

    from pipeline.classifiers.load import load_classifier
    from pipeline.device import pick_device, place

    device = pick_device()
    classifiers = [
        place(load_classifier(name, entry, seed=options.seed), device) for name, entry in options.networks.items()
    ]

    def accept(samples: list[Sample]) -> list[bool]:
        right = [True] * len(samples)
        with torch.inference_mode():
            for classifier in classifiers:
                # One image at a time: images may differ in size, and no row may depend on its neighbours.
                for index, image in enumerate(samples):
                    label = class_index(
                        classifier.name,
                        classifier.task,
                        classifier.classes,
                        image.attributes.get(classifier.task),
                        tasks.get(classifier.task),
                    )
                    right[index] &= label == int(classifier(to_tensor([image.image]).to(device)).argmax())
        return right

    return accept


def image_row(image: Sample, split: str) -> dict[str, Any]:
    """The row of an image; of a broken one, why."""
    row = {"row_id": image.image_id, "image_id": image.image_id, "split": split, "attributes": image.attributes}
    if image.image is None:
        return {**row, "status": "failed", "reason": image.reason}
    return {
        **row,
        "status": "ok",
        "image": image_struct(image.image, f"{image.image_id}.png"),
        "content": content(image.image),
        "height": image.image.shape[0],
        "width": image.image.shape[1],
        "caption": image.caption,
        "concepts": image.concepts,
        "parts": [{"concept": concept, "mask": encode_mask(mask)} for concept, mask in image.parts.items()],
        "boxes": [dict(zip(("x0", "y0", "x1", "y1", "label"), box, strict=True)) for box in image.boxes],
        "seed": image.seed,
        "nuisance": image.nuisance,
    }
