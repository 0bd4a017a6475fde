"""What the workflow needs to know of a study before anything runs: networks, files, shards, options, code."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import LOADERS
from pipeline.datasets import DATASETS
from pipeline.errors import UserError
from pipeline.explain import SALIENCY
from pipeline.fingerprint import canonical_json, digest, fingerprint
from pipeline.infill import INFILLS
from pipeline.study import Study
from pipeline.study.networks import Network
from pipeline.study.resources import handled, memory_mb, runtime_minutes
from pipeline.study.section import Section
from pipeline.worlds import WORLDS

RESULTS, RESOURCES = Path("results"), Path("resources")
TRAINED = RESOURCES / "classifiers"
TEMPLATES = Path(__file__).parents[1] / "report" / "templates"
LOCAL_FILES = ("file", "torch_export", "torchscript", "onnx")


def trained_file(name: str, ending: str = "safetensors") -> str:
    """Where a network that a study trains is written; its model card ends in md."""
    return str(TRAINED / f"{name}.{ending}")


def local_files(dataset: Section) -> list[str]:
    """All files that a dataset reads on this machine, in a fixed order.

    Raises UserError for a folder or file that does not exist; a Hugging Face dataset that is none is one of the hub.
    """
    options = dataset.model_dump()
    files: list[str] = []
    for key in ("folder", "masks", "boxes", "huggingface"):
        root = Path(options.get(key) or "")
        if not options.get(key) or (key == "huggingface" and not root.exists()):
            continue
        if not root.exists() and not (Path(options["folder"]) / root).exists():
            raise UserError(f"dataset.{key}: {root} does not exist; set it to where your files are.")
        files += [str(root)] if root.is_file() else sorted(str(path) for path in root.rglob("*") if path.is_file())
    labels = Path(options.get("labels") or "")
    return [*files, str(labels)] if labels.is_file() else files


class Plan:
    """The files and options of one study; reads nothing but the study and the package's source."""

    def __init__(self, study: Study):
        self.study = study
        self.folder = RESULTS / "studies" / study.study
        self.networks: dict[str, Network] = {**study.classifiers, **study.judges}
        self.shards = [f"{index:03d}" for index in range(ceil(study.dataset.rows / study.shard_rows))]

    @property
    def has_truth(self) -> bool:
        """Whether interventions can be rendered: only a synthetic world knows what its images would have been."""
        return hasattr(self.study.dataset, "world")

    def part(self, table: str, stage: str, shard: str = "{shard}") -> str:
        """Path of one part of a table."""
        return str(self.folder / "tables" / table / stage / f"part-{shard}.parquet")

    @property
    def explained_shards(self) -> list[str]:
        """The shards that have images to explain; none where no method explains."""
        study = self.study
        rows = min(study.explained_rows, study.dataset.rows) if study.saliency else 0
        return self.shards[: ceil(rows / study.shard_rows)]

    def explained_rows(self, shard: str) -> int:
        """How many images of a shard are explained: the first ones."""
        study = self.study
        return max(0, min(study.shard_rows, study.explained_rows - int(shard) * study.shard_rows))

    def maps(self) -> list[str]:
        """Paths of all parts of the table of maps."""
        return [path for classifier in self.study.classifiers for path in self.maps_of(classifier)]

    def maps_of(self, classifier: str) -> list[str]:
        """Paths of the parts with the maps of one classifier."""
        return [self.part("saliency", f"saliency/{classifier}", shard) for shard in self.explained_shards]

    def scores(self) -> list[str]:
        """Paths of all parts of the table of scores."""
        explained = self.study.classifiers if self.explained_shards else []
        return [self.table("scores"), *(self.part("scores", f"score_saliency/{name}", "000") for name in explained)]

    def table_parts(self) -> list[str]:
        """Paths of all parts of all tables of the study."""
        parts = [*self.parts("images", "sample"), *self.parts("predictions", "predict"), *self.maps(), *self.scores()]
        return parts + (self.parts("interventions", "intervene") if self.has_truth else [])

    def parts(self, table: str, stage: str) -> list[str]:
        """Paths of all parts of a table that a stage writes."""
        return [self.part(table, stage, shard) for shard in self.shards]

    def table(self, name: str) -> str:
        """Path of a table that is one file."""
        return str(self.folder / f"{name}.parquet")

    @property
    def page(self) -> str:
        """Path of the report."""
        return str(self.folder / "report" / "index.html")

    @property
    def store(self) -> str:
        """Folder of the row store, which all studies share."""
        return str(RESULTS / "rows")

    def log(self, name: str) -> str:
        """Path of a job's log."""
        return str(self.folder / "logs" / f"{name}.log")

    def identity(self, network: str = "{network}") -> str:
        """Path of the small file that identifies a network: digests of its files, and how it is loaded."""
        return str(self.folder / "identities" / f"{network}.json")

    def weights(self, *networks: str) -> list[str]:
        """Local files that the networks are read from."""
        files = []
        for network in networks:
            entry = self.entry(network)
            files += [entry[kind] for kind in LOCAL_FILES if entry.get(kind)]
            files += [entry["checkpoint"]] if entry.get("checkpoint") else []
            script = entry.get("entry_point", "").rpartition(":")[0]
            files += [script] if script.endswith(".py") else []
        return list(dict.fromkeys(files))

    def check_weights(self) -> None:
        """Raise UserError for a local file of a network that is gone, unless it is trained here, while results stand.

        Snakemake would take them for those of the missing file; where there are none, it names the file itself.
        """
        trained = {trained_file(name) for name in self.study.training}
        for network in self.networks:
            gone = [file for file in self.weights(network) if file not in trained and not Path(file).exists()]
            if gone and Path(self.identity(network)).exists():
                raise UserError(f"the network {network}: {gone[0]} does not exist; set its entry to where the file is.")

    def entry(self, network: str) -> dict[str, Any]:
        """How a network is loaded, without what is left at nothing; a trained one as the file it is written to."""
        entry = self.networks[network].model_dump(mode="json", exclude_none=True)
        if "trained" in entry:
            entry["file"] = trained_file(entry.pop("trained"))
        return entry

    def dataset_files(self) -> list[str]:
        """Files of a local dataset, so that a changed, new or missing image is noticed."""
        return local_files(self.study.dataset)

    def sizes(self, files: Iterable[str]) -> str:
        """How many files there are, their bytes, and a digest of the size of each; empty without files.

        Snakemake reads only files that are newer than a table; one that was unpacked or moved into its place may be
        older, and then its size tells.
        """
        sizes = {file: Path(file).stat().st_size for file in files}
        return f"{len(sizes)} files, {sum(sizes.values())} bytes, sizes {digest(sizes)[:16]}" if sizes else ""

    def training_files(self, network: str) -> list[str]:
        """Files of the local dataset that a network is trained on."""
        return local_files(self.study.training[network].dataset)

    def options(self, stage: str, name: str | None = None) -> str:
        """Exactly the options that decide what a stage writes, as canonical JSON."""
        study = self.study
        dataset = study.dataset.model_dump(mode="json")
        sections: dict[str, Any] = {
            "identify": {"networks": {network: self.entry(network) for network in self.networks}},
            "sample": {
                "study": study.study,
                "seed": study.seed,
                "dataset": dataset,
                "shard_rows": study.shard_rows,
                "networks": {network: self.entry(network) for network in study.dataset.correct},
            },
            "intervene": {"study": study.study, "world": dataset.get("world"), "size": dataset.get("size")},
            "predict": {
                "study": study.study,
                "seed": study.seed,
                "world": dataset.get("world"),
                "networks": {network: self.entry(network) for network in self.networks},
            },
            "saliency": {
                "study": study.study,
                "seed": study.seed,
                "networks": {network: self.entry(network) for network in study.classifiers},
                "methods": {
                    name: entry.model_dump(mode="json", exclude={"vary"}) for name, entry in study.saliency.items()
                },
            },
            "score_saliency": {
                "study": study.study,
                "seed": study.seed,
                "networks": {network: self.entry(network) for network in study.classifiers},
                "infills": study.evaluation.infills,
            },
            "score": {"study": study.study, "classifiers": list(study.classifiers)},
            "metrics": {
                "study": study.study,
                "seed": study.seed,
                "classifiers": list(study.classifiers),
                "oracles": study.oracles,
                "readers": study.readers,
                **study.statistics.model_dump(),
            },
            "report": {"study": study.study, "roles": self.roles(), **study.report.model_dump()},
        }
        if stage == "train":
            return canonical_json(study.training[name].model_dump(mode="json"))
        return canonical_json(sections[stage])

    def memory(self, stage: str, network: str | None = None) -> int:
        """Memory of a job of that stage in megabytes; of a job of `train`, for the network of that name."""
        return memory_mb(stage, handled(self.study, stage, network))

    def runtime(self, stage: str, network: str | None = None) -> int:
        """Longest time of a job of that stage in minutes; of a job of `train`, for the network of that name."""
        return runtime_minutes(stage, handled(self.study, stage, network))

    def loaders(self, *networks: str) -> list[str]:
        """Modules that read the formats of these networks."""
        kinds = {kind for network in networks for kind in LOADERS if kind in self.entry(network)}
        return sorted(LOADERS[kind].split(":")[0] for kind in kinds)

    def explainers(self) -> list[str]:
        """Modules of the methods of the study, and of their in-fillers."""
        entries = self.study.saliency.values()
        methods = {SALIENCY[entry.method].split(":")[0] for entry in entries}
        return sorted(methods) + self.infills(*(getattr(entry, "infill", None) for entry in entries))

    def infills(self, *names: str | None) -> list[str]:
        """Modules of these in-fillers."""
        return sorted({INFILLS[name].split(":")[0] for name in names if name})

    def roles(self) -> dict[str, list[str]]:
        """Names of the networks by what they are for."""
        study = self.study
        return {"classifiers": list(study.classifiers), "oracles": study.oracles, "readers": study.readers}

    def modules(self, stage: str) -> list[str]:
        """The module of a stage, and those that the study chooses for it by name."""
        options = self.study.dataset.model_dump()
        kind = next(kind for kind in DATASETS if options.get(kind))
        chosen = {
            "sample": [DATASETS[kind].split(":")[0], *self.loaders(*self.study.dataset.correct)],
            "predict": self.loaders(*self.networks),
            "saliency": [*self.loaders(*self.study.classifiers), *self.explainers()],
            "score_saliency": [*self.loaders(*self.study.classifiers), *self.infills(*self.study.evaluation.infills)],
        }
        if self.has_truth:
            for by_world in ("sample", "intervene", "predict"):
                chosen.setdefault(by_world, []).append(WORLDS[options["world"]])
        return [f"pipeline.stages.{stage}", *chosen.get(stage, [])]

    def code(self, stage: str) -> str:
        """Identity of the code that a stage runs: its modules and all that they import, and the report's templates."""
        parts = [fingerprint(module, deciding=True) for module in self.modules(stage)]
        if stage == "report":
            parts += [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.rglob("*")) if path.is_file()]
        return digest(parts)
