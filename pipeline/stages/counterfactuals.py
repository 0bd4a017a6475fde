"""Change each image so that a classifier decides for another class, by every method of the study."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.classifiers.wrap import Classifier
from pipeline.datasets.transform import fit, fit_mask
from pipeline.device import BatchSize, in_batches, pick_device
from pipeline.explain.counterfactuals import Counterfactuals
from pipeline.images import content, decode_png, from_tensor, image_struct, to_tensor
from pipeline.methods import parse_method
from pipeline.noise import Noise
from pipeline.progress import bar
from pipeline.rows import Key, RowStore
from pipeline.stages.common import job, provenance, read_weights
from pipeline.stages.explained import explained_rows
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.stages.regions import confined, read_maps
from pipeline.stages.targets import wanted_rows
from pipeline.tables import KEPT, TableWriter, row_id

BATCH = 24  # rows that are made and stored at once; a killed job makes at most these again
NOT_FINITE = "the method led to pixels that are no numbers; weaken its guidance"

Row = dict[str, Any]


def counterfactuals(
    options: str,
    code: str,
    rows: int,
    before: int,
    images: Path,
    predictions: Path,
    classifier: str,
    identities: list[Path],
    store: Path,
    counterfactuals: Path,
    all_predictions: list[Path] | None = None,
    saliency: list[Path] | None = None,
) -> None:
    """Write one row per method, image, target and sample: the counterfactual, and what the classifier says of it.

    rows: how many images of the part are explained, the first ones. before: how many stand in the parts before it.
    identities: of the classifier, and of all networks and generators that its methods use. all_predictions: of the
    whole study, where a target follows from all of its images. saliency: the maps of the part, where a region follows
    from them. Rows that are known are looked up.
    """
    chosen = json.loads(options)
    known = read_weights(identities)
    with job("counterfactuals", chosen["study"], counterfactuals) as account:
        with account.clock("tables"):
            explained = explained_rows(images, predictions, classifier, chosen["explained_class"], rows)
        account.device = pick_device()
        networks = Networks(chosen, account, known)
        judged = networks.classifier(classifier)
        wanted = {
            name: wanted_rows(name, chosen, judged, explained[: room(name, chosen, before)], all_predictions or [])
            for name in chosen["explains"][classifier]
        }
        maps = read_maps(saliency or [], classifier)
        inputs = {
            "images": [images],
            "predictions": [predictions, *(all_predictions or [])],
            "saliency": saliency or [],
        }
        told = provenance("counterfactuals", chosen, code, inputs, weights=known, rows=rows, before=before)
        with TableWriter(counterfactuals, "counterfactuals", told) as table:
            for name, of_method in wanted.items():
                method = parse_method(chosen["methods"][name], "counterfactuals")
                if method.is_confined:
                    of_method = confined(f"counterfactuals.{name}", method, of_method, maps)
                deciding = method.deciding(
                    identity_of(classifier, chosen, known),
                    {role: identity_of(part, chosen, known) for role, part in method.parts().items()},
                    chosen["seed"],
                )
                made = RowStore(store, "counterfactuals", method.method, deciding, KEPT["counterfactuals"])
                with account.clock("compute"):
                    compute_missing(name, networks, judged, of_method, made)
                with account.clock("tables"):
                    table.extend(table_rows(name, classifier, of_method, made))
            account.rows = table.rows


def room(name: str, options: Mapping[str, Any], before: int) -> int | None:
    """How many images of the part a method explains at most; None for all."""
    limit = options["wanted"][name]["rows"]
    return None if limit is None else max(0, limit - before)


def identity_of(name: str, options: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides what a network or generator of the study computes."""
    if name in options["generators"]:
        return generator_identity(options["generators"][name], known[name])
    return network_identity(options["networks"][name], known[name], options["seed"])


def key_of(row: Row) -> Key:
    return Key(row["image_id"], row["content"], str(row["target"]), row["sample"])


def compute_missing(name: str, networks: Networks, judged: Classifier, rows: Sequence[Row], store: RowStore) -> None:
    """Make the counterfactuals that the store lacks, and store them batch by batch."""
    account, by_key, batch_size = networks.account, {key_of(row): row for row in rows}, BatchSize(BATCH)

    @cache
    def method() -> Method:  # the networks are loaded only if there is something to make
        return Method(name, networks, judged)

    def make_batch(keys: list[Key]) -> list[Row]:
        made = method().make([by_key[key] for key in keys], batch_size)
        account.clock.count(sum(row.pop("all_evaluations") for row in made))
        return made

    with bar(f"counterfactuals {judged.name} {name}", len(by_key)) as progress:
        account.rows_computed += store.compute(list(by_key), make_batch, BATCH, progress.advance)


class Method:
    """A method of the study, with the networks that it uses."""

    def __init__(self, name: str, networks: Networks, judged: Classifier):
        declared = parse_method(networks.options["methods"][name], "counterfactuals")
        parts = declared.parts()
        self.name, self.judged, self.device = name, judged, networks.account.device
        self.seed = networks.options["seed"]
        self.explain: Callable[..., Counterfactuals] = declared.function()
        self.purpose = declared.purpose()
        self.is_confined = declared.is_confined
        self.keywords = declared.keywords()
        self.size = None
        if "generator" in parts:
            denoiser = networks.denoiser(parts["generator"])
            self.keywords["denoiser"], self.size = denoiser, denoiser.network.shape.size
        if "guide" in parts:
            self.keywords["guide"] = networks.guide(parts["guide"], self.keywords["denoiser"])
        if "helper" in parts:
            self.keywords["helper"] = networks.classifier(parts["helper"])

    def make(self, rows: Sequence[Row], batch_size: BatchSize) -> list[Row]:
        """The rows to store, and the network evaluations that each took with its judgement."""
        sources = [fit(decode_png(row["image"]["bytes"]), self.size) for row in rows]
        noise = Noise(self.seed, [row["image_id"] for row in rows], self.purpose, [row["sample"] for row in rows])
        made = self.explain(
            self.judged,
            to_tensor(sources).to(self.device),
            torch.tensor([row["target"] for row in rows], device=self.device),
            noise=noise.to(self.device),
            batch_size=batch_size,
            **self.keywords,
            **({"region": self.region(rows)} if self.is_confined else {}),
        )
        finite = made.images.isfinite().flatten(1).all(1).tolist()
        images = from_tensor(made.images.nan_to_num(0, 0, 0))
        evaluations = (made.classifier_evaluations + made.denoiser_evaluations).tolist()
        logits = self.judge(images, batch_size)
        return [
            {
                **(stored(images[index], logits[index], count) if finite[index] else failed()),
                "all_evaluations": count + 1,
            }
            for index, count in enumerate(evaluations)
        ]

    @torch.inference_mode()
    def judge(self, images: np.ndarray, batch_size: BatchSize) -> np.ndarray:
        """Logits of the images as they are stored, with 8 bits a value."""
        return in_batches(self.judged, to_tensor(list(images)), batch_size=batch_size, device=self.device).numpy()

    def region(self, rows: Sequence[Row]) -> torch.Tensor:
        """The pixels (N, H, W) that may change."""
        return torch.from_numpy(np.stack([fit_mask(row["region"], self.size) for row in rows])).to(self.device)


def stored(image: np.ndarray, logits: np.ndarray, evaluations: int) -> Row:
    return {
        "image": image_struct(image),
        "content": content(image),
        "logits": logits.tolist(),
        "network_evaluations": evaluations,
    }


def failed() -> Row:
    return {"status": "failed", "reason": NOT_FINITE}


def table_rows(name: str, classifier: str, rows: Sequence[Row], store: RowStore) -> list[Row]:
    """The rows of one method, in the order of images, targets and samples."""
    found = store.select([key_of(row) for row in rows]).to_pylist()
    return [table_row(name, classifier, row, kept) for row, kept in zip(rows, found, strict=True)]


def table_row(name: str, classifier: str, row: Row, kept: Row) -> Row:
    named = row_id(classifier, name, row["image_id"], row["target"], row["sample"])
    written = {
        **kept,
        "row_id": named,
        "image_id": row["image_id"],
        "classifier": classifier,
        "method": name,
        "target": row["target"],
        "sample": row["sample"],
    }
    if kept["status"] != "ok":
        return written
    logits = np.array(kept["logits"], np.float64)
    shares = np.exp(logits - logits.max())
    return {
        **written,
        "image": {**kept["image"], "path": f"{named}.png"},
        "predicted": int(logits.argmax()),
        "confidence_target": float(shares[row["target"]] / shares.sum()),
        "flipped": int(logits.argmax()) == row["target"],
    }
