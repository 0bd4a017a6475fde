"""What a declaration of a stage says, and the jobs that follow from it for a study."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import PlainSerializer, PlainValidator

from pipeline.section import Section

if TYPE_CHECKING:
    from pipeline.methods.base import Method
    from pipeline.study import Study
    from pipeline.workflow.plan import Plan

FILE_BYTES = 6000  # of a table without rows
WITH_NETWORK_MB, WITHOUT_MB = 4000, 1200
START_MINUTES = 15


@dataclass(frozen=True)
class Passes:
    """What one network is asked, or explained by one method: rows, and evaluations of all networks that take part.

    network, method: None where rows are kept that no network or method has a part in. with_backward: those of the
    evaluations that send gradients back. row_bytes: what the row store keeps of a row.
    """

    network: str | None
    method: str | None
    rows: int
    evaluations: int
    with_backward: int = 0
    row_bytes: float = 0.0


@dataclass(frozen=True)
class Takes:
    """What one job takes.

    rows: of its table; None where nobody can tell. exact: whether there are so many, or at most. row_bytes: of a row in
    the table. megabytes: of memory, beside those that any job takes. seconds: beside those of any start. Both are upper
    bounds on a slow machine that clusters ask for, and of one figure times what a job handles.
    """

    rows: int | None = None
    row_bytes: float = 0.0
    passes: tuple[Passes, ...] = ()
    megabytes: float = 0.0
    seconds: float = 0.0
    exact: bool = True

    @property
    def evaluations(self) -> int:
        return sum(each.evaluations for each in self.passes)


def forwards(passes: Iterable[Passes]) -> int:
    """Evaluations as forward passes; one with its backward pass takes as long as three."""
    return sum(each.evaluations + 2 * each.with_backward for each in passes)


def nothing(job: Job) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Kept:
    """Rows that the row store keeps under one identity: of a network, of a method, of both or of neither.

    algorithm: as it is called in the store. identity: all that decides the rows beside their keys. of: the networks and
    generators that stand in it.
    """

    algorithm: str
    identity: dict[str, Any]
    of: tuple[str, ...] = ()
    network: str | None = None
    method: str | None = None


Identities = Mapping[str, dict[str, Any]]
"""What decides the answers of each network and generator."""
Entries = dict[str, dict[str, Any]]
"""How networks, generators or in-fillers are loaded, by their names, as their identities tell it."""
Roles = dict[str, list[str]]
"""Names of networks by what they are for: `classifiers`, `oracles`, `readers`."""


def method_of(family: str) -> Any:
    """The type of a method among options: with all keys but those that make entries of it or choose classifiers."""

    def read(given: Any) -> Method:
        from pipeline.methods import parse_method

        return parse_method(given, family) if isinstance(given, Mapping) else given

    return Annotated[Any, PlainValidator(read), PlainSerializer(lambda method: method.options())]


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage, as its declaration says it. What depends on the study is a function of a job."""

    says: str
    """What it does, in a sentence."""
    writes: str
    """A table, or what else its files are."""
    options: Callable[[Job], Section]
    """Exactly what decides what it writes: the `Options` of its module, by which the stage reads them again."""
    takes: Callable[[Job], Takes]
    """Rows, network evaluations, memory and time of a job."""
    reads: tuple[str, ...] = ()
    """Tables, or what one stage writes of them (`scores/score`); of these the parts of its own classifier and shard."""
    each: tuple[str, ...] = ()
    """One job per what: `classifier`, `shard`, or `network` for those that train."""
    only_if: Mapping[str, Callable[[Job], bool]] = field(default_factory=dict)
    """When it reads a table, of those that it reads in some studies alone."""
    together: tuple[str, ...] = ()
    """What the parts are for that one job writes together."""
    when: Callable[[Job], bool] = lambda job: True
    """Whether there is such a job."""
    whole: Callable[[Job], Iterable[str]] = nothing
    """What it reads all parts of, beside those of its own shard."""
    networks: Callable[[Job], Iterable[str]] = nothing
    """Names of the networks and generators that it is given."""
    methods: Callable[[Study], Mapping[str, Method]] = nothing
    """The entries of the study that it follows."""
    modules: Callable[[Job], Iterable[str]] = nothing
    """The modules that the study chooses for it, beside those of its networks and methods."""
    given: Callable[[Job], dict[str, Any]] = nothing
    """What else decides the rows of a job, beside options, code, networks and tables."""
    files: Callable[[Job], list[str]] | None = None
    """What it writes, if it is no table."""
    follows: type[Section] | None = None
    """The kind of recipe by which it trains a network."""
    keeps: tuple[str, ...] = ()
    """Columns of its table that the row store keeps of each row; none where it computes all of them each time."""
    keeps_of: str | None = None
    """The table whose columns these are, if not that which it writes."""
    keeps_as: str | None = None
    """The stage under whose name the row store keeps its rows, if that is another."""
    kept: Callable[[Job, Identities], Iterable[Kept]] = nothing
    """What it keeps under its own name."""
    fails: bool = True
    """Whether a row can fail by itself, and not only where one that it follows from did."""
    memory: int | None = None
    """Megabytes that any job takes, if others than those of a process with or without networks."""
    minutes: int = START_MINUTES
    """Time that any job may take."""
    name: str = ""
    """That of its module."""

    @property
    def store(self) -> str | None:
        """The stage under whose name the row store keeps its rows, if it keeps them."""
        return self.keeps_as or (self.name if self.keeps else None)

    def is_read_as(self, read: str) -> bool:
        """Whether it writes what another stage reads by this name."""
        table, _, stage = read.partition("/")
        return self.writes == table and stage in ("", self.name)

    @property
    def trains(self) -> bool:
        """Whether it follows recipes: where a file is missing or another recipe is, and never for new code."""
        return self.follows is not None


@dataclass(frozen=True, eq=False)
class Job:
    """A job of a stage, or the whole stage: of a classifier, of a shard, of a recipe that trains a network."""

    plan: Plan = field(repr=False)
    stage: Stage
    classifier: str | None = None
    shard: str | None = None
    network: str | None = None

    @property
    def study(self) -> Study:
        return self.plan.study

    @property
    def recipe(self) -> Section:
        return self.study.training[self.network]

    @property
    def images(self) -> int:
        """How many images it reads or makes."""
        rows, most = self.study.dataset.rows, self.study.shard_rows
        return rows if self.shard is None else max(0, min(most, rows - self.before))

    @property
    def before(self) -> int:
        """How many images stand in the shards before its own."""
        return 0 if self.shard is None else self.plan.rows_before(self.shard)

    @property
    def explained(self) -> int:
        """How many of its images are explained: the first ones."""
        return max(0, min(self.images, self.study.explained_rows - self.before))

    @property
    def changed(self) -> int:
        """Images with one concept changed."""
        return self.images * self.plan.interventions

    @property
    def pixels(self) -> int:
        """Of an image."""
        return self.plan.side**2

    @cached_property
    def methods(self) -> dict[str, Method]:
        """The methods that it follows, by the names of their entries."""
        entries = self.stage.methods(self.study)
        return {
            name: each for name, each in entries.items() if self.classifier is None or each.explains(self.classifier)
        }

    @cached_property
    def networks(self) -> list[str]:
        """The networks and generators that it is given; of a stage as a whole, those of all its jobs."""
        if self.classifier is None and "classifier" in self.stage.each:
            jobs = self.plan.by_classifier(self.stage.name)
            return list(dict.fromkeys(name for job in jobs for name in job.networks))
        return list(dict.fromkeys(self.stage.networks(self)))

    @property
    def given(self) -> dict[str, Any]:
        return self.stage.given(self)

    @property
    def reads(self) -> list[str]:
        """What the stage reads in this study."""
        conditions = self.stage.only_if
        return [read for read in self.stage.reads if read not in conditions or conditions[read](self)]

    @cached_property
    def inputs(self) -> dict[str, list[str]]:
        """The parts of each table that it is made from, in the order in which its rule names them."""
        found: dict[str, list[str]] = {}
        own = {"classifier": self.classifier, "shard": self.shard}
        for read, levels in [
            *((read, own) for read in self.reads),
            *((read, {}) for read in self.stage.whole(self)),
        ]:
            table, _, stage = read.partition("/")
            found[table] = found.get(table, []) + self.plan.parts(table, stage, **levels)
        return {table: parts for table, parts in found.items() if parts}

    @property
    def outputs(self) -> list[str]:
        return self.parts()

    def parts(self, shard: str | None = None) -> list[str]:
        """The files that it writes; if its parts are for shards, perhaps that of one alone."""
        if self.stage.files is not None:
            return self.stage.files(self)
        if not self.stage.each and not self.stage.together:
            return [self.plan.table(self.stage.writes)]
        shards = [self.shard or "000"]
        if "shard" in self.stage.together:
            shards = self.plan.shards if shard is None else [shard]
        folder = "/".join(filter(None, (self.stage.name, self.classifier)))
        return [self.plan.part(self.stage.writes, folder, each) for each in shards]

    @cached_property
    def takes(self) -> Takes:
        return self.stage.takes(self)

    def rows_in(self, read: str, classifier: str | None = None) -> int:
        """Rows of a table that it reads; of those about one classifier, if it reads those of several."""
        table, _, stage = read.partition("/")
        jobs = self.plan.writing(table, stage, classifier or self.classifier, self.shard)
        return sum(job.takes.rows or 0 for job in jobs)

    @property
    def runs_networks(self) -> bool:
        """Whether it is faster on a card."""
        return bool(self.networks) or self.stage.trains

    @property
    def megabytes(self) -> int:
        """Memory that it may take, in full hundreds."""
        base = WITH_NETWORK_MB if self.runs_networks else WITHOUT_MB
        return ceil(((self.stage.memory or base) + self.takes.megabytes) / 100) * 100

    @property
    def minutes(self) -> int:
        """Longest time; a job that is cut off loses the batch in hand and goes on in the next attempt."""
        return ceil(self.stage.minutes + self.takes.seconds / 60)

    @property
    def table_bytes(self) -> float:
        """What its tables take on disk."""
        if self.stage.files is not None:
            return 0.0
        return (self.takes.rows or 0) * self.takes.row_bytes + len(self.outputs) * FILE_BYTES

    @property
    def store_bytes(self) -> float:
        """What the row store keeps of its rows."""
        return sum(each.rows * each.row_bytes for each in self.takes.passes)
