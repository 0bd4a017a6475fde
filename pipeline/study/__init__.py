"""The study: what a person writes in config.yaml or studies/*.yaml, typed, with every default spelled out.

Only this package knows what that file looks like.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pipeline.errors import UserError, nearest
from pipeline.study.datasets import Dataset
from pipeline.study.mistakes import describe
from pipeline.study.networks import Network, Training
from pipeline.study.saliency import Evaluation, SaliencyMethod
from pipeline.study.schema import study_schema
from pipeline.study.section import Name, Section

DEFAULT = Path("config.yaml")
STUDIES = Path("studies")
SHIPPED = Path("data/classifiers")


class Statistics(Section):
    """How uncertainty is stated."""

    bootstrap: int = Field(2000, ge=100, description="Bootstrap samples over images.")
    confidence: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the intervals.")


class ReportOptions(Section):
    """What the report shows."""

    title: str | None = Field(None, description="Heading of the page; the study's name if nothing is said.")
    examples: int = Field(6, ge=0, le=100, description="Images shown per classifier.")


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
    explained_rows: int = Field(24, ge=1, description="How many of the images are explained: the first ones.")
    saliency: dict[Name, SaliencyMethod] = Field({}, description="Methods that explain a decision by a map.")
    evaluation: Evaluation = Field(Evaluation(), description="How the maps are tested.")
    training: dict[Name, Training] = Field({}, description="Networks that are trained when they are missing.")
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
        for role in ("classifiers", "networks"):
            for entry, network in getattr(self, role).items():
                if network.trained is not None and network.trained not in self.training:
                    refuse_name(f"{role}.{entry}.trained", network.trained, self.training)
        twice = set(self.classifiers) & set(self.networks)
        if twice:
            raise PydanticCustomError(
                "twice", "networks.{name}: classifiers has an entry of that name too; rename one.", {"name": min(twice)}
            )
        idle = set(self.networks) - {*self.oracles, *self.readers}
        if idle:
            raise PydanticCustomError(
                "idle",
                "networks.{name}: it is never used; name it in oracles or readers, or remove it.",
                {"name": min(idle)},
            )
        return self

    @property
    def judges(self) -> dict[str, Network]:
        """The oracles and readers by name; one that the study does not define is one that ships."""
        defined = {**self.networks, **self.classifiers}
        return {
            name: defined.get(name) or Network(file=str(SHIPPED / f"{name}.safetensors"))
            for name in dict.fromkeys([*self.oracles, *self.readers])
        }


def refuse_name(where: str, name: str, valid: Any) -> None:
    close = nearest(name, valid)
    known = f"valid names are {', '.join(sorted(valid))}." if valid else "none is defined yet."
    hint = f"did you mean '{close}'?" if close else known
    raise PydanticCustomError(
        "unknown_name", "{where}: there is no '{name}'; {hint}", {"where": where, "name": name, "hint": hint}
    )


def shipped_networks() -> list[str]:
    """Names of the networks that come with the project."""
    return sorted(path.stem for path in SHIPPED.glob("*.safetensors"))


def load_study(name: str = "default") -> Study:
    """Read a study by its name (`default`, or one of studies/) or by the path of its file.

    Raises UserError, one line per mistake, for a file that is missing, is not YAML or does not fit.
    """
    path = study_path(name)
    values = read_yaml(path)
    if values.get("extends") is not None:
        # The name stays out: a study without one of its own would write over the default's results.
        values = {**{key: value for key, value in read_yaml(DEFAULT).items() if key != "study"}, **values}
    values = expand_sweeps(values)
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        mistakes = describe(error, study_schema(Study))
        raise UserError("\n".join(f"{path}: {mistake}" for mistake in mistakes)) from None


def expand_sweeps(values: dict[str, Any]) -> dict[str, Any]:
    """Make a named entry of each value that a method varies: `fido: {vary: {masks: [2, 4]}}` is fido-masks-2 and -4."""
    methods = values.get("saliency")
    if not isinstance(methods, dict):
        return values
    entries: dict[str, Any] = {}
    for name, method in methods.items():
        varied = method.get("vary") if isinstance(method, dict) else None
        if not isinstance(varied, dict) or not all(isinstance(each, list) and each for each in varied.values()):
            entries[name] = method
            continue
        fixed = {key: value for key, value in method.items() if key != "vary"}
        for chosen in product(*varied.values()):
            options = dict(zip(varied, chosen, strict=True))
            entries["-".join([str(name), *(f"{key}-{value}" for key, value in options.items())])] = {**fixed, **options}
    return {**values, "saliency": entries}


def study_path(name: str) -> Path:
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
