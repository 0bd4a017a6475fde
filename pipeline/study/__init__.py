"""The study: what a person writes in config.yaml or studies/*.yaml, typed, with every default spelled out.

Only this package knows what that file looks like.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pipeline.classifiers.entry import Network
from pipeline.diffusion.entry import Generator
from pipeline.errors import UserError, nearest
from pipeline.infill.declared import called, entry_of, heuristics
from pipeline.infill.entry import Filler
from pipeline.methods import methods
from pipeline.methods.base import Method
from pipeline.metrics.controls import NEAREST_REAL, UNCHANGED
from pipeline.section import Name, Section
from pipeline.study.datasets import Dataset
from pipeline.study.evaluation import MEASURING, OWN_FEATURES, Evaluation
from pipeline.study.mistakes import describe
from pipeline.study.schema import study_schema
from pipeline.study.sweeps import expand_sweeps
from pipeline.study.training import DiffusionTraining, GeneratorTraining, InfillTraining, Recipe, Training, recipes

DEFAULT = Path("config.yaml")
STUDIES = Path("studies")
SHIPPED, SHIPPED_GENERATORS, SHIPPED_INFILLS = Path("data/classifiers"), Path("data/generators"), Path("data/infills")
EXPLAINING = ("saliency", "counterfactuals", "directions", "attributions")
"""The sections whose entries are methods that explain."""


def entry_type(family: str) -> Any:
    """The type of an entry of a section of methods: one of their declarations, by the key `method`."""
    declared = tuple(methods(family).values())
    return Annotated[Union[declared], Field(discriminator="method")] if declared[1:] else declared[0]  # noqa: UP007


Saliency, Counterfactual, Direction, Attribution = map(entry_type, EXPLAINING)
UNSAFE = re.compile(r"[^\w ./+=@,()-]")
"""What the name or path of a study must not have: `--wrap="..."` of sbatch would let the shell expand it."""
GENERATOR_KEYS = ("generator", "guide", "autoencoder")
"""The options by which methods name generators."""


class Statistics(Section):
    """How uncertainty is stated."""

    bootstrap: int = Field(2000, ge=100, description="Bootstrap samples over images.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


class ReportOptions(Section):
    """What the report shows."""

    title: str | None = Field(None, description="Heading of the page; the study's name if nothing is said.")
    examples: int = Field(6, ge=0, le=100, description="Images shown per classifier.")
    order: Literal["worst", "dataset"] = Field(
        "worst", description="Which images with maps come first: the worst explained, or those first in the dataset."
    )


class Study(Section):
    """A study: images, networks, methods. Complete, or `extends: default` with some of its sections replaced."""

    study: Name = Field(description="Name; results go to results/studies/<name>.")
    extends: Literal["default"] | None = Field(
        None, description="Take the sections that are not given from config.yaml."
    )
    seed: int = Field(2026, ge=0, description="Seed of everything random.")
    dataset: Dataset = Field(description="The images.")
    shard_rows: int = Field(64, ge=1, description="Images per job: smaller shards give more parallel jobs.")
    classifiers: dict[Name, Network] = Field(min_length=1, description="The networks that are explained.")
    networks: dict[Name, Network] = Field({}, description="Further networks that only judge.")
    oracles: list[Name] = Field([], description="Networks that judge the same task: of this study, or shipped.")
    readers: list[Name] = Field([], description="Networks that name concepts: of this study, or shipped.")
    generators: dict[Name, Generator] = Field({}, description="Diffusion models that methods use, and their guides.")
    infills: dict[Name, Filler] = Field({}, description="In-fillers that have weights, and that methods name.")
    explained_rows: int = Field(24, ge=1, description="How many of the images are explained: the first ones.")
    explained_class: Literal["predicted", "label"] = Field(
        "predicted",
        description="Which class of an image is explained: the one that a classifier decides for, or its label.",
    )
    saliency: dict[Name, Saliency] = Field({}, description="Methods that explain a decision by a map.")
    counterfactuals: dict[Name, Counterfactual] = Field(
        {}, description="Methods that explain a decision by an image that is decided otherwise."
    )
    directions: dict[Name, Direction] = Field(
        {}, description="Methods that explain a classifier by one direction of codes, which is followed for each image."
    )
    attributions: dict[Name, Attribution] = Field(
        {}, description="Methods that explain a decision by a map of the pixels by which a direction changes it."
    )
    evaluation: Evaluation = Field(Evaluation(), description="How explanations are tested, and what measures.")
    training: dict[Name, Recipe] = Field(
        {}, description="Networks and generators that are trained when they are missing."
    )
    statistics: Statistics = Field(Statistics(), description="Resampling and coverage of the intervals.")
    report: ReportOptions = Field(ReportOptions(), description="The page at the end.")

    @model_validator(mode="after")
    def name_only_what_exists(self) -> Study:
        """Every network that is named somewhere must be defined, trained here or shipped."""
        for role in ("oracles", "readers"):
            for name in getattr(self, role):
                known = [*self.networks, *self.classifiers, *shipped_networks()]
                if name not in known:
                    refuse_name(role, name, known)
        for name in self.dataset.correct:
            if name not in self.classifiers:
                refuse_name("dataset.correct", name, self.classifiers)
        for name, planted in self.evaluation.planted.items():
            for where, each in (("", name), (f".{name}.clean", planted.clean)):
                if each not in self.classifiers:
                    refuse_name(f"evaluation.planted{where}", each, self.classifiers)
            if planted.clean == name:
                raise PydanticCustomError(
                    "twin",
                    "evaluation.planted.{name}.clean: a classifier is no clean twin of itself; name another one.",
                    {"name": name},
                )
        for section in EXPLAINING:
            for entry, method in getattr(self, section).items():
                for name in method.classifiers or []:
                    if name not in self.classifiers:
                        refuse_name(f"{section}.{entry}.classifiers", name, self.classifiers)
        for role in ("classifiers", "networks"):
            for entry, network in getattr(self, role).items():
                if network.trained is not None and network.trained not in recipes(self.training, Training):
                    refuse_name(f"{role}.{entry}.trained", network.trained, recipes(self.training, Training))
        if self.explained_class == "label" and getattr(self.dataset, "labels", None) == "none":
            raise PydanticCustomError(
                "unlabelled",
                "explained_class: the images have no labels (dataset.labels is none); set it to predicted.",
            )
        refuse_twice("directions", self.directions, "counterfactuals", self.counterfactuals)
        refuse_twice("attributions", self.attributions, "saliency", self.saliency)
        for name, method in self.attributions.items():
            if method.direction not in self.directions:
                refuse_name(f"attributions.{name}.direction", method.direction, self.directions)
        for section, entries in (("counterfactuals", self.counterfactuals), ("directions", self.directions)):
            for name in {UNCHANGED, NEAREST_REAL} & set(entries):
                raise PydanticCustomError(
                    "control",
                    "{section}.{name}: a control that is scored beside every method is called so; rename the method.",
                    {"section": section, "name": name},
                )
        for where, name in self.maps_named().items():
            if name not in self.making_maps:
                refuse_name(where, name, self.making_maps)
        refuse_twice("networks", self.networks, "classifiers", self.classifiers)
        for where, name in {**self.helpers_named(), **self.measuring_named()}.items():
            known = [*self.networks, *self.classifiers, *shipped_networks()]
            if name not in known:
                refuse_name(where, name, known)
        used = {*self.helpers_named().values(), *self.measuring_named().values()}
        idle = set(self.networks) - {*self.oracles, *self.readers, *used}
        if idle:
            raise PydanticCustomError(
                "idle",
                "networks.{name}: it is never used; name it in oracles, readers or evaluation, or as a helper, or"
                " remove it.",
                {"name": min(idle)},
            )
        return self

    @model_validator(mode="after")
    def name_only_generators_that_exist(self) -> Study:
        """Every generator that is named somewhere must be defined, trained here or shipped, and the others be used."""
        for where, name in self.generators_named().items():
            known = [*self.generators, *shipped_generators()]
            if name not in known:
                refuse_name(where, name, known)
        trained = recipes(self.training, DiffusionTraining)
        for name, generator in self.generators.items():
            if generator.trained is not None and generator.trained not in trained:
                refuse_name(f"generators.{name}.trained", generator.trained, trained)
        for name in recipes(self.training, GeneratorTraining):
            gate = self.training[name].gate
            for where, named in (("readers", gate.readers), ("features", [gate.features] if gate.features else [])):
                known = [*shipped_networks(), *self.networks, *self.classifiers]
                for network in named:
                    if network not in known:
                        refuse_name(f"training.{name}.gate.{where}", network, known)
        for role in ("classifiers", "networks"):
            refuse_twice("generators", self.generators, role, getattr(self, role))
        kept = {name for name, generator in self.generators.items() if generator.trained is not None}
        idle = set(self.generators) - kept - set(self.generators_named().values())
        if idle:
            raise PydanticCustomError(
                "idle",
                "generators.{name}: it is never used; name it as the generator or guide of a method, or remove it.",
                {"name": min(idle)},
            )
        return self

    @model_validator(mode="after")
    def name_only_infills_that_exist(self) -> Study:
        """Every in-filler that is named somewhere must need no weights, be defined or shipped; the others be used."""
        known = [*heuristics(), *self.infills, *shipped_infills()]
        for where, name in self.infills_named().items():
            if name not in known:
                refuse_name(where, name, known)
        for name, filler in self.infills.items():
            if filler.trained is not None and filler.trained not in recipes(self.training, InfillTraining):
                refuse_name(f"infills.{name}.trained", filler.trained, recipes(self.training, InfillTraining))
        names = [called(choice) for choice in self.evaluation.infills]
        if twice := [name for name in names if names.count(name) > 1]:
            raise PydanticCustomError(
                "twice", "evaluation.infills: {name} stands twice; leave one out.", {"name": twice[0]}
            )
        if taken := sorted(set(self.infills) & set(heuristics())):
            raise PydanticCustomError(
                "twice", "infills.{name}: an in-filler without weights is called so; rename this.", {"name": taken[0]}
            )
        for role in ("classifiers", "networks", "generators"):
            refuse_twice("infills", self.infills, role, getattr(self, role))
        kept = {name for name, filler in self.infills.items() if filler.trained is not None}
        if idle := set(self.infills) - kept - set(self.infills_named().values()):
            raise PydanticCustomError(
                "idle",
                "infills.{name}: it is never used; name it as the infill of a method or in evaluation, or remove it.",
                {"name": min(idle)},
            )
        return self

    def infills_named(self) -> dict[str, str]:
        """The in-fillers that are named, by the place in the study that names them."""
        chosen = {f"saliency.{name}.infill": method.chosen_infill for name, method in self.saliency.items()}
        chosen |= {f"evaluation.infills.{index}": each for index, each in enumerate(self.evaluation.infills)}
        return {where: choice for where, choice in chosen.items() if isinstance(choice, str)}

    @property
    def fillers(self) -> dict[str, Filler]:
        """The in-fillers with weights by name: of the study, and those that are named and ship."""
        named = dict.fromkeys([*self.infills, *filter(None, map(entry_of, self.infills_named().values()))])
        return {
            name: self.infills.get(name) or Filler(file=str(SHIPPED_INFILLS / f"{name}.safetensors")) for name in named
        }

    def generators_named(self) -> dict[str, str]:
        """The generators and guides that methods name, by the place in the study that names them."""
        return {
            f"{section}.{name}.{key}": named
            for section in EXPLAINING
            for name, entry in getattr(self, section).items()
            for key in GENERATOR_KEYS
            if (named := getattr(entry, key, None)) is not None
        }

    @property
    def makers(self) -> dict[str, Generator]:
        """The generators of the study by name, and those that methods name and that ship."""
        named = dict.fromkeys([*self.generators, *self.generators_named().values()])
        return {
            name: self.generators.get(name) or Generator(file=str(SHIPPED_GENERATORS / f"{name}.safetensors"))
            for name in named
        }

    def helpers_named(self) -> dict[str, str]:
        """The robust classifiers that cones name, by the place in the study that names them."""
        cones = ((name, getattr(entry, "cone", None)) for name, entry in self.counterfactuals.items())
        return {f"counterfactuals.{name}.cone.helper": cone.helper for name, cone in cones if cone is not None}

    @property
    def making_maps(self) -> dict[str, Method]:
        """The entries that make maps, by their names, of whichever section."""
        return {**self.saliency, **self.attributions}

    def maps_named(self) -> dict[str, str]:
        """The entries that make maps and that regions name, by the place in the study that names them."""
        regions = ((name, getattr(entry, "region", None)) for name, entry in self.counterfactuals.items())
        named = ((name, region.saliency) for name, region in regions if region is not None)
        return {f"counterfactuals.{name}.region.saliency": entry for name, entry in named if entry is not None}

    @property
    def measuring(self) -> dict[str, str | Section | None]:
        """What measures counterfactuals: for each role a network by its name, a published one, or nothing."""
        chosen = {role: getattr(self.evaluation, role) for role in MEASURING}
        own = OWN_FEATURES.get(getattr(self.dataset, "world", None))
        chosen["perceptual"] = chosen["perceptual"] or own
        named = chosen["perceptual"] if isinstance(chosen["perceptual"], str) else own
        return chosen | {role: chosen[role] or named for role in ("realism", "similarity")}

    def measuring_named(self) -> dict[str, str]:
        """The networks that a person names to measure, by the place in the study that names them."""
        named = ((role, getattr(self.evaluation, role)) for role in MEASURING)
        return {f"evaluation.{role}": name for role, name in named if isinstance(name, str)}

    def network(self, name: str) -> Network:
        """A network by its name: of this study, or one that ships."""
        defined = {**self.networks, **self.classifiers}
        return defined.get(name) or Network(file=str(SHIPPED / f"{name}.safetensors"))

    @property
    def judges(self) -> dict[str, Network]:
        """The oracles and readers by name, and the helpers; one that the study does not define is one that ships."""
        return {
            name: self.network(name)
            for name in dict.fromkeys([*self.oracles, *self.readers, *self.helpers_named().values()])
        }


def refuse_name(where: str, name: str, valid: Any) -> None:
    close = nearest(name, valid)
    known = f"valid names are {', '.join(sorted(valid))}." if valid else "none is defined yet."
    hint = f"did you mean '{close}'?" if close else known
    raise PydanticCustomError(
        "unknown_name", "{where}: there is no '{name}'; {hint}", {"where": where, "name": name, "hint": hint}
    )


def refuse_twice(section: str, names: Any, other: str, others: Any) -> None:
    """Networks and generators share their names: each has one row of every table, and one file that identifies it."""
    twice = set(names) & set(others)
    if twice:
        raise PydanticCustomError(
            "twice",
            "{section}.{name}: {other} has an entry of that name too; rename one.",
            {"section": section, "name": min(twice), "other": other},
        )


def shipped_networks() -> list[str]:
    """Names of the networks that come with the project."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def shipped_generators() -> list[str]:
    """Names of the generators that come with the project."""
    return sorted(path.stem for path in SHIPPED_GENERATORS.glob("*.safetensors"))


def shipped_infills() -> list[str]:
    """Names of the in-fillers with weights that come with the project."""
    return sorted(path.stem for path in SHIPPED_INFILLS.glob("*.safetensors"))


def load_study(name: str = "default") -> Study:
    """Read a study by its name (`default`, or one of studies/) or by the path of its file.

    Raises UserError, one line per mistake, for a file that is missing, is not YAML or does not fit.
    """
    path = study_path(name)
    values = read_yaml(path)
    if values.get("extends") is not None:
        # The name stays out: a study without one of its own would write over the default's results.
        inherited = {key: value for key, value in read_yaml(DEFAULT).items() if key != "study"}
        if "classifiers" in values:  # what was planted, was planted in classifiers of the default study
            inherited["evaluation"] = {**inherited.get("evaluation", {}), "planted": {}}
        values = {**inherited, **values}
    values = expanded(path, values)
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        mistakes = describe(error, study_schema(Study))
        raise UserError("\n".join(f"{path}: {mistake}" for mistake in mistakes)) from None


def expanded(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """The study of a file with an entry for each value that one of its methods varies."""
    sections = {key: values[key] for key in EXPLAINING if isinstance(values.get(key), dict)}
    return {**values, **{key: expand_sweeps(methods, f"{path}: {key}") for key, methods in sections.items()}}


def study_path(name: str) -> Path:
    if odd := UNSAFE.search(name):
        raise UserError(
            f"the study {name!r} has the character {odd[0]!r} in its name, and names go through the shell of a cluster;"
            " rename it to letters, digits, spaces and ./_-+=@,() alone."
        )
    if name == "default":
        return DEFAULT
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = STUDIES / f"{name}.yaml"
    if not path.exists():
        there = ["default", *(each.stem for each in sorted(STUDIES.glob("*.yaml")))]
        close = nearest(name, there)
        hint = (
            f"did you mean '{close}'?" if close else f"there are {', '.join(there)}, or give the path of a .yaml file."
        )
        raise UserError(f"there is no study '{name}' in {STUDIES}/; {hint}")
    return path


class UniqueKeys(yaml.SafeLoader):
    """YAML in which no key stands twice: the first of two entries of one name would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        seen = set()
        for key_node, _ in node.value:
            key = key_node.value
            if isinstance(key, str) and key != "<<" and key in seen:
                raise yaml.MarkedYAMLError(problem=f"the key '{key}' stands twice", problem_mark=key_node.start_mark)
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; give the path of a study, such as studies/digits.yaml.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); give the path of a study file.") from None
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
        raise UserError(f"{path} is not readable as YAML: {place}: {error.problem}; correct it there.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not readable as YAML: {' '.join(str(error).split())}; correct it there.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no study; begin with the key `study` and its name.")
    return values
