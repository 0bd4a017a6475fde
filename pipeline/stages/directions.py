"""Find, for a classifier, the direction of codes that flips it, by every method of the study."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.classifiers.wrap import Classifier
from pipeline.datasets.transform import fit
from pipeline.device import in_batches
from pipeline.diffusion.autoencoder import Autoencoder, Codes
from pipeline.errors import UserError
from pipeline.explain.directions import Around, Direction, NoDirection, unit_along
from pipeline.explain.pairs import class_number
from pipeline.explain.probes import Probes
from pipeline.fingerprint import digest
from pipeline.images import decode_png, from_tensor, image_struct, to_tensor
from pipeline.methods.base import DirectionMethod
from pipeline.noise import Noise
from pipeline.rows import Key, RowStore
from pipeline.stages.coding import decoder
from pipeline.stages.common import Job, job, kept_columns, provenance, read_options, read_weights
from pipeline.stages.keeping import Batch, keep
from pipeline.stages.labels import class_index
from pipeline.stages.loaded import Networks
from pipeline.stages.networks import generator_identity, network_identity
from pipeline.tables import TableWriter, read_provenance, read_table, row_id, unpack

BATCH = 16
SHOWN = 7  # images of a strip

Row = dict[str, Any]


@dataclass(frozen=True)
class Encoded:
    """Images with their codes: ids, sha256 of their pixels, the images as they are stored, codes, labels by task."""

    image_ids: list[str]
    contents: list[str]
    images: list[bytes]
    codes: Codes
    attributes: list[dict[str, int | None]]


def directions(
    options: str,
    code: str,
    codes: Path,
    classifier: str,
    identities: list[Path],
    store: Path,
    directions: Path,
) -> None:
    """Write one row per method: the direction that flips most of the images that it is calibrated on.

    codes: of images of the split search. What was looked at before is looked up. A method that finds no direction has
    a failed row, with its reason.
    """
    chosen, known = read_options("directions", options), read_weights(identities)
    with job("directions", chosen.study, directions) as account:
        networks = Networks(chosen, account, known)
        judged = networks.classifier(classifier)
        tasks = read_provenance(codes)["tasks"]
        told = provenance("directions", chosen, code, {"codes": [codes]}, weights=known)
        with TableWriter(directions, "directions", told) as table:
            for name in chosen.explains[classifier]:
                method = chosen.methods[name]
                with account.clock("tables"):
                    encoded = read_codes(codes, method, method.images)
                network = network_identity(chosen.networks[classifier], known[classifier], chosen.seed)
                part = generator_identity(chosen.generators[method.autoencoder], known[method.autoencoder])
                deciding = method.deciding_probes(network, part, chosen.seed)
                kept = RowStore(store, "directions", method.method, deciding, kept_columns("directions"))
                search = Searching(name, method, encoded, judged, networks, kept, account, chosen.seed, tasks)
                table.extend([{**search.row(), "row_id": row_id(classifier, name), "classifier": classifier}])
            account.rows = table.rows


def read_codes(codes: Path, method: DirectionMethod, count: int | None = None) -> Encoded:
    """The images with codes of a method's encoding, perhaps the first ones; those that failed are left out."""
    rows = [
        row
        for row in read_table(codes, "codes").to_pylist()
        if all(row[key] == value for key, value in method.encoding().items()) and row["status"] == "ok"
    ][:count]
    noise = [torch.from_numpy(unpack("codes", "noise", row["noise"], row["shape"]).copy()).float() for row in rows]
    return Encoded(
        [row["image_id"] for row in rows],
        [row["content"] for row in rows],
        [row["image"]["bytes"] for row in rows if row["image"]],
        Codes(torch.tensor([row["semantic"] for row in rows]), torch.stack(noise) if noise else torch.zeros(0)),
        [dict(row["attributes"] or {}) for row in rows],
    )


@dataclass(frozen=True)
class Searching:
    """The search of one method for one classifier. tasks: class names of the dataset's labels, by task."""

    name: str
    method: DirectionMethod
    encoded: Encoded
    classifier: Classifier
    networks: Networks
    store: RowStore
    account: Job
    seed: int
    tasks: Mapping[str, Sequence[str]]

    @cached_property
    def autoencoder(self) -> Autoencoder:
        """Loaded where something is decoded."""
        return self.networks.autoencoder(self.method.autoencoder)

    @cached_property
    def logits(self) -> Tensor:
        """What the classifier says of the images (N, K), at the autoencoder's size."""
        device, size = self.classifier.mean.device, self.encoded.codes.noise.shape[-1]
        shown = to_tensor([fit(decode_png(image), size) for image in self.encoded.images])
        with torch.inference_mode(), self.account.clock("compute"):
            return in_batches(self.classifier, shown, batch_size=BATCH, device=device).float()

    @cached_property
    def target(self) -> int:
        where = f"directions.{self.name}.target"
        if self.method.target is not None:
            return class_number(self.method.target, self.classifier.classes, where)
        return int(self.logits[0].argsort(descending=True)[1])

    @cached_property
    def source(self) -> int:
        """The first image that is not decided for the target. Raises UserError where all are."""
        others = torch.nonzero(self.logits.argmax(1) != self.target)[:, 0]
        if not len(others):
            raise UserError(
                f"all {len(self.logits)} images of the split search are decided for"
                f" {self.classifier.classes[self.target]}, so that none can be led there; choose another target"
            )
        return int(others[0])

    @property
    def origin(self) -> int:
        return int(self.logits[self.source].argmax())

    @property
    def labels(self) -> Tensor | None:
        """The true classes (N,), -1 where one is not known; None where none is."""
        name, task, classes = self.classifier.name, self.classifier.task, self.classifier.classes
        known = [
            class_index(name, task, classes, row.get(task), self.tasks.get(task)) for row in self.encoded.attributes
        ]
        return None if all(label is None for label in known) else torch.tensor([-1 if x is None else x for x in known])

    def row(self) -> Row:
        """The direction as it is written."""
        about = {"method": self.name, "autoencoder": self.method.autoencoder}
        try:
            found, unit, rate, decodes = self.best()
        except NoDirection as error:
            return {**about, **self.pair(), "status": "failed", "reason": str(error)}
        return {
            **about,
            **self.pair(),
            "status": "ok",
            "kind": found.kind,
            "rank": found.rank,
            "vector": found.vector.tolist(),
            "eigenvalue": found.eigenvalue,
            "sign": found.sign,
            "unit": unit,
            "decodes": decodes,
            "calibration_flip_rate": rate,
            "strip": self.strip(found.vector * unit),
            "network_evaluations": len(self.logits) + (decodes + SHOWN) * (1 + self.method.decode_steps),
        }

    def pair(self) -> Row:
        """What is known of a direction before it is found."""
        return {"target": self.target, "origin": self.origin, "source_image_id": self.encoded.image_ids[self.source]}

    def best(self) -> tuple[Direction, float, float, int]:
        """The direction that flips most of the images for calibration; its unit, that share, and all decodes.

        Of equal ones the one that comes first. Raises NoDirection where there is none.
        """
        semantic, decodes = self.encoded.codes.semantic, 0

        def look(offsets: Tensor, numbers: Sequence[int]) -> Probes:
            nonlocal decodes
            decodes += len(numbers)
            return self.look(offsets, numbers)

        around = Around(look, semantic, self.logits, self.source, self.target, self.labels)
        image_id = self.encoded.image_ids[self.source]

        def noise(numbers: Sequence[int]) -> Noise:
            return Noise(self.seed, [image_id] * len(numbers), self.method.purpose(), list(numbers))

        candidates = self.method.function()(around, noise=noise, **self.method.keywords())
        units = [unit_along(semantic, direction.vector) for direction in candidates]
        rates = self.flip_rates([each.vector * unit for each, unit in zip(candidates, units, strict=True)])
        best = max(range(len(candidates)), key=lambda place: rates[place])
        calibrated = len(self.calibration) * (1 + len(candidates) * self.method.marks)
        return candidates[best], units[best], rates[best], decodes + calibrated

    @property
    def calibration(self) -> list[int]:
        """The images that directions are chosen by: the first ones but the source."""
        others = [row for row in range(len(self.logits)) if row != self.source]
        return others[: self.method.calibration]

    def look(self, offsets: Tensor, numbers: Sequence[int]) -> Probes:
        """Probes around the source; those with these numbers that are known are looked up."""
        encoded, source = self.encoded, self.source
        made_from = digest([encoded.contents[source], encoded.contents, self.target])
        image = to_tensor([fit(decode_png(encoded.images[source]), encoded.codes.noise.shape[-1])])[0]
        rows = [{"key": Key(encoded.image_ids[source], made_from, "", number), "row": source} for number in numbers]
        kept = self.keep("probes", [{**row, "move": move} for row, move in zip(rows, offsets, strict=True)], image)
        return Probes(*(torch.tensor([row[column] for row in kept]) for column in ("offset", "logits", "distance")))

    def strip(self, move: Tensor) -> list[Row]:
        """The source at strengths evenly spread along a move (L,) of strength 1 and the other way, to be shown."""
        strengths = torch.linspace(-self.method.longest, self.method.longest, SHOWN)
        decode = decoder(self.autoencoder, self.method.decode_steps, self.account.passed)
        device, codes = self.account.device, self.encoded.codes

        def seen(semantic: Tensor) -> tuple[Tensor, Tensor]:
            images = decode(Codes(semantic, codes.noise[self.source].to(semantic).expand(len(semantic), -1, -1, -1)))
            return images, self.classifier(images).float()

        with torch.inference_mode(), self.account.clock("compute"):
            moved = codes.semantic[self.source] + strengths[:, None] * move
            images, logits = in_batches(seen, moved, batch_size=SHOWN, device=device)
        self.account.clock.count(SHOWN * (1 + self.method.decode_steps))
        shown = zip(strengths.tolist(), from_tensor(images), logits.tolist(), strict=True)
        return [{"strength": each[0], "image": image_struct(each[1]), "logits": each[2]} for each in shown]

    def flip_rates(self, moves: Sequence[Tensor]) -> list[float]:
        """The shares of the images for calibration that moves (L,) of strength 1 flip at one of the marks."""
        rows = [row for move in moves for row in self.marked(move)]
        kept = self.keep("calibration", rows, None)
        decided = torch.tensor([found["logits"] for found in kept]).argmax(1)
        wanted = torch.tensor([self.led_to(row["row"]) for row in rows])
        by_image = (decided == wanted).unflatten(0, (len(moves), -1, self.method.marks + 1))
        return by_image.any(2).float().mean(1).tolist()

    def marked(self, move: Tensor) -> Iterator[Row]:
        """What is looked at along a move: each image for calibration where it is, and at each mark."""
        encoded, marks, longest = self.encoded, self.method.marks, self.method.longest
        for row in self.calibration:
            towards = -1 if int(self.logits[row].argmax()) == self.target else 1
            for mark in range(marks + 1):
                led = [move.tolist(), longest, marks, towards] if mark else []  # where it is, it is for all
                key = Key(encoded.image_ids[row], digest([encoded.contents[row], *led]), "", mark)
                yield {"key": key, "row": row, "move": move * (towards * longest * mark / marks)}

    def led_to(self, row: int) -> int:
        """The class that an image is led to."""
        return self.origin if int(self.logits[row].argmax()) == self.target else self.target

    def keep(self, label: str, rows: Sequence[Row], image: Tensor | None) -> list[Row]:
        """What is seen at moved codes: looked up, or decoded and asked."""
        return keep(
            f"{label} {self.classifier.name} {self.name}",
            self.store,
            rows,
            lambda row: row["key"],
            partial(self.see, image),
            self.account,
            stored_at_once=2 * BATCH,
            batch_size=BATCH,
        ).to_pylist()

    def see(self, image: Tensor | None, batch: Batch) -> tuple[list[Row], int]:
        """What the classifier says of moved codes, and how far each image is from one (mean absolute difference)."""
        places = torch.tensor([row["row"] for row in batch.rows])
        moves = torch.stack([row["move"] for row in batch.rows])
        of_batch = decoder(self.autoencoder, self.method.decode_steps, self.account.passed)

        def seen(semantic: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
            images = of_batch(Codes(semantic, noise))
            start = images if image is None else image.to(images)
            return self.classifier(images).float(), (images - start).abs().flatten(1).mean(1)

        batch.expect(1 + self.method.decode_steps)
        codes = self.encoded.codes
        with torch.inference_mode():
            moved = codes.semantic[places] + moves
            logits, distance = in_batches(seen, moved, codes.noise[places], batch_size=batch.size, device=batch.device)
        rows = [
            {"offset": move.tolist(), "logits": said.tolist(), "distance": float(apart)}
            for move, said, apart in zip(moves, logits, distance, strict=True)
        ]
        return rows, len(rows) * (1 + self.method.decode_steps)
