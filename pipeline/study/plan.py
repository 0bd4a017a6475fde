"""What the workflow needs to know of a study before anything runs: networks, files, shards, options, code."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import LOADERS, Network
from pipeline.classifiers.identity import told_by_loading
from pipeline.datasets import DATASETS
from pipeline.datasets.imagenet import image_files
from pipeline.diffusion.entry import LOADERS as GENERATOR_LOADERS
from pipeline.diffusion.entry import Generator, source_files
from pipeline.entry import parse_entry
from pipeline.errors import UserError
from pipeline.fingerprint import canonical_json, digest, fingerprint
from pipeline.infill.declared import Heuristic, entry_of, modules_of
from pipeline.infill.entry import Filler
from pipeline.metrics.networks import LOADERS as MEASURES
from pipeline.section import Section
from pipeline.study import Study
from pipeline.study.measuring import entry_files, measuring_entries, measuring_names
from pipeline.study.resources import handled, memory_mb, runtime_minutes
from pipeline.study.targets import near_and_far, pairs_of, relations
from pipeline.study.trained import (
    TRAINED_BY,
    loaded,
    trained_file,
    trained_generator_file,
    trained_infill_file,
    training_options,
)
from pipeline.worlds import WORLDS

RESULTS = Path("results")
TEMPLATES = Path(__file__).parents[1] / "report" / "templates"


def local_files(dataset: Section) -> list[str]:
    """All files that a dataset reads on this machine, in a fixed order.

    Raises UserError for a folder or file that does not exist; a Hugging Face dataset that is none is one of the hub.
    """
    options = dataset.model_dump()
    if options.get("imagenet"):
        return [str(path) for path in image_files(options)]
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
        self.generators: dict[str, Generator] = study.makers
        self.fillers: dict[str, Filler] = study.fillers
        self.measuring: dict[str, dict[str, Any]] = measuring_entries(study) if self.counterfactuals() else {}

    @property
    def shards(self) -> list[str]:
        """Names of the shards."""
        return [f"{index:03d}" for index in range(ceil(self.study.dataset.rows / self.study.shard_rows))]

    @property
    def has_truth(self) -> bool:
        """Whether interventions can be rendered: only a synthetic world knows what its images would have been."""
        return hasattr(self.study.dataset, "world")

    def part(self, table: str, stage: str, shard: str = "{shard}") -> str:
        """Path of one part of a table."""
        return str(self.folder / "tables" / table / stage / f"part-{shard}.parquet")

    @property
    def explained_shards(self) -> list[str]:
        """The shards that have images to explain."""
        study = self.study
        return self.shards[: ceil(min(study.explained_rows, study.dataset.rows) / study.shard_rows)]

    def methods(self, section: str, classifier: str) -> list[str]:
        """The entries of a section of methods that explain a classifier, in the order of the study."""
        return [name for name, method in getattr(self.study, section).items() if method.explains(classifier)]

    def explained_rows(self, shard: str) -> int:
        """How many images of a shard are explained: the first ones."""
        study = self.study
        return max(0, min(study.shard_rows, study.explained_rows - int(shard) * study.shard_rows))

    def maps(self) -> list[str]:
        """Paths of all parts of the table of maps."""
        return [path for classifier in self.study.classifiers for path in self.maps_of(classifier)]

    def maps_of(self, classifier: str) -> list[str]:
        """Paths of the parts with the maps of one classifier; none where no method explains it."""
        shards = self.explained_shards if self.methods("saliency", classifier) else []
        return [self.part("saliency", f"saliency/{classifier}", shard) for shard in shards]

    def fillers_for(self, classifier: str) -> list[str]:
        """The in-fillers with weights of the maps of a classifier."""
        methods = (self.study.saliency[name] for name in self.methods("saliency", classifier))
        return list(dict.fromkeys(filter(None, (method.filler for method in methods))))

    @property
    def judging_fillers(self) -> list[str]:
        """The in-fillers with weights by which all maps are judged."""
        return list(filter(None, map(entry_of, self.study.evaluation.infills)))

    def rows_before(self, shard: str) -> int:
        """How many images stand in the shards before one."""
        return int(shard) * self.study.shard_rows

    def counterfactuals(self) -> list[str]:
        """Paths of all parts of the table of counterfactuals."""
        return [path for classifier in self.study.classifiers for path in self.counterfactuals_of(classifier)]

    def counterfactuals_of(self, classifier: str) -> list[str]:
        """Paths of the parts with the counterfactuals of one classifier; none where no method explains it."""
        shards = self.explained_shards if self.methods("counterfactuals", classifier) else []
        return [self.part("counterfactuals", f"counterfactuals/{classifier}", shard) for shard in shards]

    @property
    def judges(self) -> list[str]:
        """The networks that may judge counterfactuals of others; which they do judge, their tasks tell."""
        study = self.study
        made_of = [name for name in study.classifiers if self.counterfactuals_of(name)]
        named = dict.fromkeys([*study.classifiers, *study.oracles, *study.readers])
        return [name for name in named if any(name != other for other in made_of)]

    def judged(self) -> list[str]:
        """Paths of the parts with what networks say of the counterfactuals."""
        shards = self.explained_shards if self.judges else []
        return [self.part("predictions", "judge", shard) for shard in shards]

    def counterfactuals_in(self, shard: str) -> list[str]:
        """Paths of the parts with the counterfactuals of a shard, of all classifiers."""
        return [path for path in self.counterfactuals() if path.endswith(f"part-{shard}.parquet")]

    def networks_for(self, classifier: str) -> list[str]:
        """The classifier, and the networks and generators that its counterfactuals are made with."""
        methods = (self.study.counterfactuals[name] for name in self.methods("counterfactuals", classifier))
        return list(dict.fromkeys([classifier, *(part for method in methods for part in method.parts().values())]))

    @property
    def makers(self) -> list[str]:
        """All networks and generators that counterfactuals are made of and with."""
        return list(dict.fromkeys(part for name in self.study.classifiers for part in self.networks_for(name)))

    def confusions(self, classifier: str) -> list[str]:
        """Paths of the predictions of all images, where targets of a classifier follow from them."""
        methods = [self.study.counterfactuals[name] for name in self.methods("counterfactuals", classifier)]
        needed = any(method.target == "most-confused" for method in methods)
        return self.parts("predictions", "predict") if needed else []

    def scores(self) -> list[str]:
        """Paths of all parts of the table of scores."""
        return [self.table("scores"), *self.scores_of("score_saliency"), *self.scores_of("score_counterfactuals")]

    def scores_of(self, stage: str) -> list[str]:
        """Paths of the parts that a stage writes for each classifier that has what it scores."""
        scored = {"score_saliency": self.maps_of, "score_counterfactuals": self.counterfactuals_of}[stage]
        return [self.scores_part(stage, name) for name in self.study.classifiers if scored(name)]

    def scores_part(self, stage: str, classifier: str) -> str:
        """Path of the part of the table of scores that a stage writes for a classifier."""
        return self.part("scores", f"{stage}/{classifier}", "000")

    def table_parts(self) -> list[str]:
        """Paths of all parts of all tables of the study."""
        parts = [*self.parts("images", "sample"), *self.parts("predictions", "predict"), *self.maps()]
        parts += [*self.counterfactuals(), *self.judged(), *self.scores()]
        return parts + (self.parts("interventions", "intervene") if self.has_truth else [])

    def outputs(self) -> list[str]:
        """Paths of all files that the rules write for the study, its report last."""
        identities = [self.identity(name) for name in self.identified]
        return [*identities, *self.table_parts(), self.table("metrics"), self.page]

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
        """Path of the small file that identifies a network, generator or in-filler: digests, how it is loaded."""
        return str(self.folder / "identities" / f"{network}.json")

    def weights(self, *networks: str) -> list[str]:
        """Local files that the networks, generators or in-fillers are read from."""
        files = []
        for network in networks:
            entry = self.entry(network)
            makes = network in self.generators
            files += map(str, source_files(parse_entry(Generator, network, entry))) if makes else entry_files(entry)
        return list(dict.fromkeys(files))

    def check_weights(self) -> None:
        """Raise UserError for a local file of a network that is gone, unless it is trained here, while results stand.

        Snakemake would take them for those of the missing file; where there are none, it names the file itself.
        """
        places = (trained_file, trained_generator_file, trained_infill_file)
        trained = {file(name) for name in self.study.training for file in places}
        for network in self.identified:
            gone = [file for file in self.weights(network) if file not in trained and not Path(file).exists()]
            if gone and Path(self.identity(network)).exists():
                kinds = {"generator": self.generators, "in-filler": self.fillers}
                kind = next((kind for kind, named in kinds.items() if network in named), "network")
                raise UserError(f"the {kind} {network}: {gone[0]} does not exist; set its entry to where the file is.")

    def entry(self, network: str) -> dict[str, Any]:
        """How a network, generator or in-filler is loaded: what is given, and of a trained one its future file."""
        for entries in (self.generators, self.fillers, self.networks):
            if network in entries:
                return loaded(entries[network])
        return dict(self.measuring[network])

    @property
    def identified(self) -> list[str]:
        """All networks, generators and in-fillers whose files are hashed."""
        return list(dict.fromkeys([*self.networks, *self.generators, *self.fillers, *self.measuring]))

    def is_loaded_to_tell(self, network: str) -> bool:
        """Whether a network is loaded to be identified, since its files do not tell all of its weights."""
        return told_by_loading(parse_entry(Network, network, self.entry(network)))

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
            "identify": {
                "networks": {name: self.entry(name) for name in [*self.networks, *self.measuring]},
                "generators": {generator: self.entry(generator) for generator in self.generators},
                "fillers": {filler: self.entry(filler) for filler in self.fillers},
                "files": {name: self.weights(name) for name in self.identified},
            },
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
                "explained_class": study.explained_class,
                "fillers": {name: self.entry(name) for each in study.classifiers for name in self.fillers_for(each)},
                "methods": {name: method.options() for name, method in study.saliency.items()},
                "explains": {name: self.methods("saliency", name) for name in study.classifiers},
            },
            "counterfactuals": {
                "study": study.study,
                "seed": study.seed,
                "networks": {name: self.entry(name) for name in self.makers if name in self.networks},
                "generators": {name: self.entry(name) for name in self.makers if name in self.generators},
                "explained_class": study.explained_class,
                "methods": {name: method.options() for name, method in study.counterfactuals.items()},
                "wanted": {
                    name: {
                        "targets": pairs_of(name, method),
                        "to_itself": getattr(method.target, "to_itself", False),
                        "samples": method.samples,
                        "rows": method.rows,
                    }
                    for name, method in study.counterfactuals.items()
                },
                "near_and_far": near_and_far(study.counterfactuals.values()),
                "explains": {name: self.methods("counterfactuals", name) for name in study.classifiers},
            },
            "judge": {
                "study": study.study,
                "seed": study.seed,
                "networks": {name: self.entry(name) for name in self.judges},
                "roles": self.roles(),
            },
            "score_counterfactuals": {
                "study": study.study,
                "seed": study.seed,
                "networks": {network: self.entry(network) for network in study.classifiers},
                "roles": self.roles(),
                "explained_class": study.explained_class,
                "measuring": {
                    role: {"name": name, **self.measuring[name]} if name in self.measuring else None
                    for role, name in measuring_names(study).items()
                },
                "relations": relations(study.counterfactuals.values()),
                **study.statistics.model_dump(),
            },
            "score_saliency": {
                "study": study.study,
                "seed": study.seed,
                "networks": {network: self.entry(network) for network in study.classifiers},
                "infills": study.evaluation.model_dump(mode="json")["infills"],
                "fillers": {name: self.entry(name) for name in self.judging_fillers},
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
        if stage in TRAINED_BY:
            return canonical_json(training_options(study, stage, name))
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

    def generator_loaders(self, *generators: str) -> list[str]:
        """Modules that read the formats of these generators."""
        kinds = {kind for generator in generators for kind in GENERATOR_LOADERS if kind in self.entry(generator)}
        return sorted(GENERATOR_LOADERS[kind].split(":")[0] for kind in kinds)

    def explainers(self) -> list[str]:
        """Modules of the methods of the study, and of their in-fillers."""
        entries = self.study.saliency.values()
        methods = {entry.module() for entry in entries}
        return sorted(methods) + self.infills(*(entry.chosen_infill for entry in entries))

    def modules_of_counterfactuals(self) -> list[str]:
        """Modules of the methods that make counterfactuals, and of what reads their networks and generators."""
        methods = {entry.module() for entry in self.study.counterfactuals.values()}
        networks = [name for name in self.makers if name in self.networks]
        generators = [name for name in self.makers if name in self.generators]
        return [*self.loaders(*networks), *self.generator_loaders(*generators), *sorted(methods)]

    def measures(self) -> list[str]:
        """Modules that read the networks that measure."""
        published = {kind for entry in self.measuring.values() for kind in MEASURES if kind in entry}
        own = [name for name, entry in self.measuring.items() if not MEASURES.keys() & entry.keys()]
        return [*self.loaders(*own), *sorted(MEASURES[kind].split(":")[0] for kind in published)]

    def infills(self, *chosen: str | Heuristic | None) -> list[str]:
        """Modules of these in-fillers."""
        return sorted({module for choice in chosen for module in modules_of(choice)})

    def roles(self) -> dict[str, list[str]]:
        """Names of the networks by what they are for."""
        study = self.study
        return {"classifiers": list(study.classifiers), "oracles": study.oracles, "readers": study.readers}

    def modules(self, stage: str) -> list[str]:
        """The module of a stage, and those that the study chooses for it by name."""
        options = self.study.dataset.model_dump()
        kind = next(kind for kind in DATASETS if options.get(kind))
        chosen = {
            "identify": self.loaders(*(name for name in self.networks if self.is_loaded_to_tell(name))),
            "sample": [DATASETS[kind].split(":")[0], *self.loaders(*self.study.dataset.correct)],
            "predict": self.loaders(*self.networks),
            "saliency": [*self.loaders(*self.study.classifiers), *self.explainers()],
            "counterfactuals": self.modules_of_counterfactuals(),
            "judge": self.loaders(*self.judges),
            "score_counterfactuals": [*self.loaders(*self.study.classifiers), *self.measures()],
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
