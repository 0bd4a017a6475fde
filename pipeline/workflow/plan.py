"""What follows from the declarations of the stages for one study: its jobs, files, options, code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product
from math import ceil
from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import LOADERS, Network
from pipeline.diffusion.entry import LOADERS as GENERATOR_LOADERS
from pipeline.diffusion.entry import Generator, source_files
from pipeline.entry import parse_entry
from pipeline.errors import UserError
from pipeline.fingerprint import canonical_json, digest, fingerprint
from pipeline.infill.declared import Heuristic, modules_of
from pipeline.infill.entry import Filler
from pipeline.metrics.networks import LOADERS as MEASURES
from pipeline.section import Section
from pipeline.study import Study
from pipeline.study.training import recipes
from pipeline.workflow import stages
from pipeline.workflow.base import Job
from pipeline.workflow.heads import classes_of
from pipeline.workflow.trained import (
    entry_files,
    loaded,
    measuring_entries,
    trained_file,
    trained_generator_file,
    trained_infill_file,
)
from pipeline.worlds import Concept, World, load_world

RESULTS = Path("results")
TEMPLATES = Path(__file__).parents[1] / "report" / "templates"
UNKNOWN_SIDE = 512  # pixels; taken for a dataset that leaves every image as it is


class Plan:
    """The jobs, files and options of one study; reads nothing but the study, small descriptions and the source."""

    def __init__(self, study: Study):
        self.study = study
        self.folder = RESULTS / "studies" / study.study
        self.networks: dict[str, Network] = {**study.classifiers, **study.judges}
        self.generators: dict[str, Generator] = study.makers
        self.fillers: dict[str, Filler] = study.fillers
        making = [*study.counterfactuals.values(), *study.directions.values()]
        made = any(method.explains(name) for method in making for name in study.classifiers)
        self._jobs: dict[tuple, Job] = {}  # each is made once: what it takes is asked for many times
        self.measuring: dict[str, dict[str, Any]] = measuring_entries(study) if made else {}

    # Jobs

    @property
    def shards(self) -> list[str]:
        """Names of the shards."""
        return [f"{index:03d}" for index in range(ceil(self.study.dataset.rows / self.study.shard_rows))]

    def job(self, stage: str, **levels: str) -> Job:
        """A job of a stage, or the stage as a whole. levels: by `classifier`, `shard` or `network`, of its own."""
        declared = stages()[stage]
        own = {level: levels[level] for level in declared.each if levels.get(level) is not None}
        return self._jobs.setdefault((stage, *own.items()), Job(self, declared, **own))

    def recipes(self, stage: str) -> list[str]:
        """Names of the recipes that a stage follows."""
        return recipes(self.study.training, stages()[stage].follows)

    def jobs(self, stage: str, classifier: str | None = None, shard: str | None = None) -> Iterator[Job]:
        """The jobs of a stage; perhaps those alone that are about a classifier or a shard."""
        named = {"classifier": list(self.study.classifiers), "shard": self.shards}
        named |= {level: [name] for level, name in (("classifier", classifier), ("shard", shard)) if name is not None}
        if stages()[stage].trains:
            named["network"] = [name for name in self.recipes(stage) if name in self.trained]
        each = stages()[stage].each
        for names in product(*(named[level] for level in each)):
            job = self.job(stage, **dict(zip(each, names, strict=True)))
            if job.stage.when(job):
                yield job

    def by_classifier(self, stage: str) -> list[Job]:
        """A stage as a whole, for each classifier if its jobs are about one."""
        about = self.study.classifiers if "classifier" in stages()[stage].each else [None]
        return [self.job(stage, classifier=classifier) for classifier in about]

    def all_jobs(self) -> Iterator[Job]:
        """All jobs of the study, each after those that it takes from."""
        for stage in stages():
            yield from self.jobs(stage)

    @property
    def trained(self) -> list[str]:
        """The recipes whose weights the study names."""
        entries = [*self.networks.values(), *self.generators.values(), *self.fillers.values()]
        return list(dict.fromkeys(entry.trained for entry in entries if entry.trained is not None))

    def writing(
        self, table: str, stage: str = "", classifier: str | None = None, shard: str | None = None
    ) -> list[Job]:
        """The jobs that write a table; perhaps those of one stage, classifier or shard."""
        tables = [each for each in stages().values() if each.files is None]
        writers = [each for each in tables if each.writes == table and stage in ("", each.name)]
        return [job for each in writers for job in self.jobs(each.name, classifier, shard)]

    # Files

    def part(self, table: str, stage: str, shard: str = "{shard}") -> str:
        """Path of one part of a table."""
        return str(self.folder / "tables" / table / stage / f"part-{shard}.parquet")

    def parts(self, table: str, stage: str = "", classifier: str | None = None, shard: str | None = None) -> list[str]:
        """Paths of the parts of a table; perhaps those of one stage, classifier or shard."""
        return [path for job in self.writing(table, stage, classifier, shard) for path in job.parts(shard)]

    def whole(self, stage: str, classifier: str) -> list[str]:
        """Paths of all parts that the jobs of a stage for a classifier read beside those of their own shards."""
        job = self.job(stage, classifier=classifier)
        return [path for read in job.stage.whole(job) for path in self.parts(*read.split("/"))]

    def inputs(self, stage: str, table: str, classifier: str, shard: str) -> list[str]:
        """Paths of the parts of a table that a job reads."""
        return self.job(stage, classifier=classifier, shard=shard).inputs.get(table, [])

    def outputs(self) -> list[str]:
        """Paths of all files of the study's own folder, its report last."""
        return [path for job in self.all_jobs() if not job.stage.trains for path in job.outputs]

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
        """Path of the small file that identifies a network or generator: digests of its files, how it is loaded."""
        return str(self.folder / "identities" / f"{network}.json")

    def identities(self, stage: str, classifier: str | None = None) -> list[str]:
        """Paths of those of all networks and generators that a stage, or its jobs for a classifier, are given."""
        return list(map(self.identity, self.job(stage, classifier=classifier).networks))

    def fillers_for(self, stage: str, classifier: str) -> list[str]:
        """Paths of the identities of the in-fillers that the jobs of a stage for a classifier are given."""
        return [self.identity(name) for name in self.job(stage, classifier=classifier).networks if name in self.fillers]

    def weights(self, *networks: str) -> list[str]:
        """Local files that the networks, or generators, are read from."""
        files = []
        for network in networks:
            entry = self.entry(network)
            makes = network in self.generators
            files += map(str, source_files(parse_entry(Generator, network, entry))) if makes else entry_files(entry)
        return list(dict.fromkeys(files))

    def weights_for(self, stage: str, classifier: str | None = None) -> list[str]:
        """Local files of all networks and generators that a stage, or its jobs for a classifier, are given."""
        return self.weights(*self.job(stage, classifier=classifier).networks)

    def check_weights(self) -> None:
        """Raise UserError for a local file of a network that is gone, unless it is trained here, while results stand.

        Snakemake would take them for those of the missing file; where there are none, it names the file itself.
        """
        places = (trained_file, trained_generator_file, trained_infill_file)
        trained = {file(name) for name in self.study.training for file in places}
        for network in self.identified:
            gone = [file for file in self.weights(network) if file not in trained and not Path(file).exists()]
            if gone and Path(self.identity(network)).exists():
                kind = {"generators": "generator", "fillers": "in-filler", "networks": "network"}[self.kind(network)]
                raise UserError(f"the {kind} {network}: {gone[0]} does not exist; set its entry to where the file is.")

    def dataset_files(self) -> list[str]:
        """Files of a local dataset, so that a changed, new or missing image is noticed."""
        return self.study.dataset.local_files()

    def sizes(self, files: Iterable[str]) -> str:
        """How many files there are, their bytes, and a digest of the size of each; empty without files.

        Snakemake reads only files that are newer than a table; one that was unpacked or moved into its place may be
        older, and then its size tells.
        """
        sizes = {file: Path(file).stat().st_size for file in files}
        return f"{len(sizes)} files, {sum(sizes.values())} bytes, sizes {digest(sizes)[:16]}" if sizes else ""

    def training_files(self, network: str) -> list[str]:
        """Files of the local dataset that a network is trained on."""
        return self.study.training[network].dataset.local_files()

    # Networks

    @property
    def identified(self) -> list[str]:
        """All networks, generators and in-fillers whose files are hashed."""
        return list(dict.fromkeys([*self.networks, *self.generators, *self.fillers, *self.measuring]))

    def kind(self, name: str) -> str:
        """Whether a name is one of the generators, of the fillers, or of the networks."""
        return "generators" if name in self.generators else "fillers" if name in self.fillers else "networks"

    def entry(self, network: str) -> dict[str, Any]:
        """How a network, generator or in-filler is loaded, without what is not given; a trained one as its file."""
        for entries in (self.generators, self.fillers, self.networks):
            if network in entries:
                return loaded(entries[network])
        return dict(self.measuring[network])

    def entries(self, names: Iterable[str], kind: str = "networks") -> dict[str, dict[str, Any]]:
        """How those of these are loaded that are `networks`, or `generators`, or `fillers`."""
        return {name: self.entry(name) for name in names if self.kind(name) == kind}

    def roles(self) -> dict[str, list[str]]:
        """Names of the networks by what they are for."""
        study = self.study
        return {"classifiers": list(study.classifiers), "oracles": study.oracles, "readers": study.readers}

    @cached_property
    def heads(self) -> dict[str, dict[str, int]]:
        """Number of classes by task of each network, without loading it; two where nothing tells.

        Raises UserError for a file that is none of ours.
        """
        found = {}
        for name in self.networks:
            heads = classes_of(self, name) or {self.entry(name).get("task") or "label": None}
            found[name] = {task: len(names) if names else 2 for task, names in heads.items()}
        return found

    def logits_bytes(self, network: str) -> int:
        """What the row store keeps of an answer of a network."""
        return 50 + 4 * sum(self.heads[network].values())

    # Images

    def explained_rows(self, shard: str) -> int:
        """How many images of a shard are explained, if it has as many: the first ones."""
        return max(0, min(self.study.shard_rows, self.study.explained_rows - self.rows_before(shard)))

    def rows_before(self, shard: str) -> int:
        """How many images stand in the shards before one."""
        return int(shard) * self.study.shard_rows

    @property
    def has_truth(self) -> bool:
        """Whether interventions can be rendered: only a synthetic world knows what its images would have been."""
        return hasattr(self.study.dataset, "world")

    @property
    def world(self) -> World | None:
        return load_world(self.study.dataset.world) if self.has_truth else None

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The concepts of the world; none of other datasets."""
        return self.world.concepts if self.has_truth else ()

    @property
    def interventions(self) -> int:
        """Of an image: one for every other value of every concept."""
        return sum(len(concept.values) - 1 for concept in self.concepts)

    @property
    def side(self) -> int:
        """Side of an image in pixels."""
        return self.study.dataset.size or UNKNOWN_SIDE

    @property
    def png_bytes(self) -> float:
        """What an image takes on disk, roughly."""
        return self.study.dataset.png_bytes * self.side**2

    # Options and code

    def chosen(self, stage: str, network: str | None = None) -> Section:
        """Exactly the options that decide what a stage writes; of one that trains a network."""
        job = self.job(stage, network=network)
        return job.stage.options(job)

    def options(self, stage: str, network: str | None = None) -> str:
        """The options of a stage as canonical JSON, in which its rule hands them over."""
        return canonical_json(self.chosen(stage, network).model_dump(mode="json"))

    def modules(self, stage: str) -> list[str]:
        """The module of a stage, and those that the study chooses for it: of its networks, its methods, and others."""
        job = self.job(stage)
        methods = sorted({method.module() for method in job.methods.values()})
        filled = self.infills(*(getattr(method, "chosen_infill", None) for method in job.methods.values()))
        chosen = [*self.loaders(*job.networks), *methods, *filled, *job.stage.modules(job)]
        return [f"pipeline.stages.{stage}", *chosen]

    def code(self, stage: str) -> str:
        """Identity of the code that a stage runs: its modules and all that they import, and the report's templates."""
        parts = [fingerprint(module, deciding=True) for module in self.modules(stage)]
        if stage == "report":
            parts += [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.rglob("*")) if path.is_file()]
        return digest(parts)

    def loaders(self, *names: str) -> list[str]:
        """Modules that read the formats of these networks and generators."""
        found = set()
        for name in (name for name in names if name not in self.fillers):
            known = GENERATOR_LOADERS if name in self.generators else LOADERS | MEASURES
            found |= {known[kind].split(":")[0] for kind in known if kind in self.entry(name)}
        return sorted(found)

    def infills(self, *chosen: str | Heuristic | None) -> list[str]:
        """Modules of these in-fillers."""
        return sorted({module for choice in chosen for module in modules_of(choice)})
