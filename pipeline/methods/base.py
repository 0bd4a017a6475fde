"""What declarations of methods share: sections of a study, with what else is known of a method before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from pipeline.fingerprint import fingerprint, release
from pipeline.infill.declared import Heuristic, called, entry_of, heuristics, modules_of
from pipeline.section import Name, Section

InfillChoice = Annotated[
    Union[Annotated[Name, Tag("name")], *(Annotated[each, Tag(name)] for name, each in heuristics().items())],
    Discriminator(lambda given: given.get("infill") if isinstance(given, dict) else getattr(given, "infill", "name")),
]
"""An in-filler by its name, of the section `infills` too; or one without weights, with its options."""
Score = Literal["log-odds", "logit"]
TargetWord = Literal["next", "second-best", "most-confused", "near", "far"]
TARGET_KEYS = ("fixed", "pairs", "table")
ENCODING = ("autoencoder", "encode_steps", "decode_steps")
WAY = ("longest", "marks", "halvings")
ROLES = ("generator", "guide", "helper")
"""What networks and generators that a method names are to it."""
CONFINING = ("immutable", "region")
"""Options that say where an image may change; what they come to, image by image, is part of the key of a row."""
LOADED = ("method", "generator", "guide", *CONFINING)
"""Options that are no keywords of its function as they stand."""
SIDE = 32  # pixels; at any size a method needs gradients, or does not
PIXELS_PER_CELL = 4  # of a mask, if no grid is given


class Method(Section):
    """A method under a name of its own: two entries may use one method with other options."""

    family: ClassVar[str]
    """The section of a study that it stands in."""
    explain: ClassVar[str]
    """Its function, as module:function."""
    libraries: ClassVar[tuple[str, ...]]
    """Packages whose release decides what it makes."""
    example: ClassVar[str]
    """An entry of a study, as a line of YAML; a generator or guide in it is a file of that name."""
    tiny: ClassVar[dict[str, Any]]
    """Options with which tests run it in a moment."""
    bound: ClassVar[float]
    """How far what it makes of an image, with tiny options, may move in other company: a share of a map's range, or
    of the range of a pixel. `benchmarks/batch_size.py` measures it."""

    vary: dict[str, list[Any] | dict[str, Any]] = Field(
        {},
        description="Options with a list of values, or with a mapping from words to values: one entry is made of each"
        " value, named after it or by its word.",
    )
    classifiers: list[Name] | None = Field(
        None, min_length=1, description="Which classifiers of the study it explains; all if nothing is said."
    )

    @classmethod
    def module(cls) -> str:
        """The module of its function."""
        return cls.explain.split(":")[0]

    @classmethod
    def function(cls) -> Callable:
        """Its function, whose module is imported now."""
        module, function = cls.explain.split(":")
        return getattr(import_module(module), function)

    @classmethod
    def purpose(cls) -> str:
        """The word of its noise. It decides what the method makes, and so stands in the module, as code does."""
        return import_module(cls.module()).PURPOSE

    def explains(self, classifier: str) -> bool:
        """Whether it explains that classifier of the study."""
        return self.classifiers is None or classifier in self.classifiers

    def options(self) -> dict[str, Any]:
        """What decides an explanation: all keys but those that make entries of it or choose classifiers."""
        return self.model_dump(mode="json", exclude={"vary", "classifiers"})

    def decided_by(self, modules: list[str], seed: int) -> dict[str, Any]:
        """What decides what it makes, whatever it explains: options, code of these modules, seed, libraries."""
        return {
            "method": self.options(),
            "code": [fingerprint(module, deciding=True) for module in modules],
            "seed": seed,
            "libraries": {name: release(name) for name in self.libraries},
        }


@dataclass(frozen=True)
class Spent:
    """What the map of one image takes: forward passes alone, those with their backward, and the cells of the map.

    Counted as `Maps` counts them, passes of one image through the classifier; here those that end in a backward pass
    are told apart, since they cost more. rows_together: passes of one image that stand in one batch; batches that too
    few images fill are padded, which costs time.
    """

    forward: int
    with_backward: int
    map_cells: int
    rows_together: int = 1

    @property
    def network_evaluations(self) -> int:
        """As the explainer reports them: a pass with its backward counts once."""
        return self.forward + self.with_backward


class SaliencyMethod(Method):
    """A method that explains a decision by a map.

    Its function takes (classifier, images, targets, *, noise, infill, batch_size, progress, options): Maps.
    """

    family = "saliency"
    libraries = ("torch", "captum")
    own_infill: ClassVar[str | None] = None
    """What it fills in if nothing is said."""

    def spends(self, height: int, width: int) -> Spent:
        """What it spends on an image of height x width pixels; a test holds it against what the explainer reports."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it spends")

    @property
    def needs_gradients(self) -> bool:
        """Whether it sends gradients through the classifier that it explains."""
        return self.spends(SIDE, SIDE).with_backward > 0

    @property
    def chosen_infill(self) -> str | Heuristic | None:
        """The in-filler that the study chooses for it."""
        return getattr(self, "infill", None)

    @property
    def filled_in(self) -> str | None:
        """The in-filler of its maps, as tables call it."""
        return called(self.chosen_infill) if self.chosen_infill else self.own_infill

    def deciding(
        self, network: Mapping[str, Any], seed: int, filler: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """All that decides a map besides the image.

        network: the identity of the classifier; filler: of an in-filler with weights, in place of its name.
        """
        if filler is None:
            return {"network": dict(network), **self.decided_by([self.module(), *modules_of(self.chosen_infill)], seed)}
        decided = self.decided_by([self.module()], seed)
        options = {key: value for key, value in decided["method"].items() if key != "infill"}
        return {"network": dict(network), **decided, "method": options, "filler": dict(filler)}

    @property
    def filler(self) -> str | None:
        """The name of its in-filler, if that has weights."""
        return entry_of(self.chosen_infill)

    def keywords(self) -> dict[str, Any]:
        """The options of its function, which takes the in-filler loaded."""
        return {key: value for key, value in self.options().items() if key not in ("method", "infill")}


def cells(grid: int | None, height: int, width: int) -> int:
    """Cells of a mask with `grid` of them along the height."""
    rows = grid or max(1, round(height / PIXELS_PER_CELL))
    return rows * max(1, round(rows * width / height))


@dataclass(frozen=True)
class Count:
    """Passes of one counterfactual through one network.

    Counted as `Counterfactuals` counts them. forward: alone. with_backward: forward with a backward pass. again:
    further backward passes over a forward pass that was counted, for gradients of several quantities; they are no
    evaluations.
    """

    forward: int = 0
    with_backward: int = 0
    again: int = 0

    @property
    def network_evaluations(self) -> int:
        return self.forward + self.with_backward


Counts = dict[str, Count]
"""By what a network is to the method: "classifier" (the one that is explained), or one of ROLES."""


class ChosenTargets(Section):
    """Target classes that a person chose: exactly one of fixed, pairs and table."""

    fixed: str | None = Field(None, description="The same class for all images of other classes.")
    pairs: dict[str, str | list[str]] | None = Field(
        None, description="The target, or several, of each class that is explained."
    )
    table: str | None = Field(
        None, description="A .csv file with the columns `source_class` and `target_class`: names, or numbers from 0."
    )
    where: dict[str, str] = Field({}, description="table: take the rows that have these values in other columns.")
    to_itself: bool = Field(
        False,
        description="Keep pairs of a class with itself, as published grids have them; they are left out otherwise.",
    )

    @model_validator(mode="after")
    def come_from_one_place(self) -> ChosenTargets:
        given = [key for key in TARGET_KEYS if getattr(self, key) is not None]
        if len(given) != 1:
            raise PydanticCustomError(
                "no_source",
                "a target has exactly one of the keys {keys}; here there is {given}",
                {"keys": ", ".join(TARGET_KEYS), "given": " and ".join(given) or "none"},
            )
        if self.where and self.table is None:
            raise PydanticCustomError("misplaced", "where chooses rows of a table; leave it out", {})
        return self


class CounterfactualMethod(Method):
    """What every method that makes counterfactuals has."""

    # Its function takes (classifier, images, targets, *, denoiser, noise, batch_size, progress, options), and the
    # networks that it names by what they are to it; it returns Counterfactuals.
    family = "counterfactuals"
    libraries = ("torch",)

    target: TargetWord | ChosenTargets = Field(
        "second-best",
        description="Which class an image is changed to. `next`: the one after the class that is explained."
        " `second-best`: the likeliest of the others. `most-confused`: the likeliest of the others over all images of"
        " that class. `near` and `far`: by the table of the task that ships in `data/targets`.",
    )
    samples: int = Field(1, ge=1, description="Counterfactuals of each image and target, each with noise of its own.")
    rows: int | None = Field(
        None, ge=1, description="Only so many of the images that are explained, the first ones; all if nothing is said."
    )

    def options(self) -> dict[str, Any]:
        """What decides a counterfactual of a given image, target and sample."""
        return self.model_dump(mode="json", exclude={"vary", "classifiers", "target", "samples", "rows"})

    def parts(self) -> dict[str, str]:
        """The networks and generators that it names, by what they are to it."""
        cone = getattr(self, "cone", None)
        named = {"helper": cone and cone.helper, **{role: getattr(self, role, None) for role in ("generator", "guide")}}
        return {role: named[role] for role in ROLES if named[role]}

    def spends(self) -> Counts:
        """The passes of one image, target and sample; at most, where it stops early (DiME). A test holds them."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it spends")

    @property
    def needs_gradients(self) -> bool:
        """Whether it sends gradients through the classifier that it explains."""
        return self.spends().get("classifier", Count()).with_backward > 0

    @property
    def is_confined(self) -> bool:
        """Whether its function is told where an image may change."""
        return any(getattr(self, key, None) for key in CONFINING)

    def deciding(self, network: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, Any]:
        """All that decides a counterfactual besides image, region, target and sample.

        network: the identity of the classifier; parts: those of its own parts.
        """
        decided = self.decided_by([self.module(), "pipeline.datasets.transform"], seed)
        options = {key: value for key, value in decided["method"].items() if key not in (*parts, *CONFINING)}
        if options.get("cone"):
            options["cone"] = {key: value for key, value in options["cone"].items() if key != "helper"}
        named = {role: dict(identity) for role, identity in parts.items()}
        return {**decided, "method": options, "network": dict(network), "parts": named}

    def keywords(self) -> dict[str, Any]:
        """The options of its function, which takes networks, generators and masks loaded."""
        options = {key: value for key, value in self.options().items() if key not in LOADED}
        cone = options.pop("cone", None) or {}
        return {**options, **{key: value for key, value in cone.items() if key != "helper"}}


class DirectionMethod(Method):
    """A method that explains a classifier by one direction of the codes of an autoencoder, for all images.

    Its function takes (around, *, noise, options) and returns directions, of which the best on calibration images is
    kept. It is searched around one image of the split `search`.
    """

    family = "directions"
    libraries = ("torch",)

    autoencoder: Name = Field(description="The diffusion autoencoder: of `generators`, or shipped.")
    encode_steps: int = Field(250, ge=2, description="Steps of the way from an image to its noise; a whole stride.")
    decode_steps: int = Field(100, ge=2, description="Steps of the way from a code to its image; a whole stride.")
    target: str | None = Field(
        None,
        description="The class that the direction leads to. If nothing is said, the likeliest of the others for the"
        " first image of the split `search`. The images of that class are led the other way.",
    )
    images: int = Field(
        64,
        ge=3,
        description="Images of the split `search` that are encoded, the first ones: they tell how far codes spread. The"
        " first that is not decided for the target is the one to search around.",
    )
    calibration: int = Field(
        16, ge=1, description="How many of the others choose between directions: the one that flips most of them."
    )
    longest: float = Field(
        3.0,
        gt=0,
        description="How far an image is led, in standard deviations of the codes along the direction.",
    )
    marks: int = Field(5, ge=1, description="Places on the way, evenly spread, at which it is first looked.")
    halvings: int = Field(6, ge=0, description="Halvings between two marks, to find the smallest step that flips.")
    rows: int | None = Field(
        None, ge=1, description="Only so many of the images that are explained, the first ones; all if nothing is said."
    )

    def options(self) -> dict[str, Any]:
        """What decides a direction, and where it leads a given image."""
        return self.model_dump(mode="json", exclude={"vary", "classifiers", "rows"})

    def encoding(self) -> dict[str, Any]:
        """What decides the codes that it needs."""
        return {key: getattr(self, key) for key in ENCODING}

    def keywords(self) -> dict[str, Any]:
        """The options of its function."""
        shared = DirectionMethod.model_fields
        return {key: value for key, value in self.options().items() if key not in shared and key != "method"}

    def probing(self) -> dict[str, Any]:
        """The options that decide which probes it looks at, and so what is kept of them."""
        return self.keywords()

    def parts(self) -> dict[str, str]:
        """The generators that it names, by what they are to it."""
        return {"autoencoder": self.autoencoder}

    def deciding_codes(self, autoencoder: Mapping[str, Any]) -> dict[str, Any]:
        """All that decides a code besides its image. autoencoder: its identity."""
        steps = {key: value for key, value in self.encoding().items() if key != "autoencoder"}
        code = [fingerprint("pipeline.datasets.transform", deciding=True)]
        return {"steps": steps, "autoencoder": dict(autoencoder), "code": code}

    def deciding_probes(self, network: Mapping[str, Any], autoencoder: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """All that decides what is seen around a source besides it and the images that tell how codes spread.

        network, autoencoder: the identities of the two.
        """
        decided = self.decided_by([self.module()], seed)
        return {
            **decided,
            "method": {"method": self.options()["method"], **self.probing()},
            "codes": self.deciding_codes(autoencoder),
            "network": dict(network),
        }

    def deciding_transfer(self, network: Mapping[str, Any], autoencoder: Mapping[str, Any]) -> dict[str, Any]:
        """All that decides where an image is led besides it, its target and the direction."""
        return {
            "way": {key: getattr(self, key) for key in WAY},
            "code": [fingerprint("pipeline.explain.transfer", deciding=True)],
            "codes": self.deciding_codes(autoencoder),
            "network": dict(network),
        }

    def probes(self) -> int:
        """Codes around the source that its function looks at, at most."""
        return 0

    def candidates(self) -> int:
        """Directions of which one is chosen, at most."""
        return 1

    @property
    def needs_gradients(self) -> bool:
        """Whether it sends gradients through the classifier; none does."""
        return False

    def searching(self) -> int:
        """Decodes of the whole search, at most: probes, and each direction at each mark on the calibration images."""
        return self.probes() + self.calibration * (1 + self.candidates() * self.marks)

    def transferring(self) -> int:
        """Decodes of one image on its way, at most."""
        return 1 + self.marks + self.halvings


class AttributionMethod(Method):
    """A method that explains a decision by a map of the pixels by which a direction changes it."""

    # Its function takes (decode, score, codes, explained, moves, *, batch_size, device, progress, options) and returns
    # Attributed. A move leads an image along the direction, away from the class that is explained.
    family = "attributions"
    libraries = ("torch",)

    direction: Name = Field(description="An entry of `directions` that explains the same classifiers.")
    rows: int | None = Field(
        None,
        ge=1,
        description="Only so many of the images that are explained, the first ones; all if nothing is said. Maps are"
        " compared on images that all methods explain, and so on these alone.",
    )

    def options(self) -> dict[str, Any]:
        """What decides the map of a given image, and the name of the direction."""
        return self.model_dump(mode="json", exclude={"vary", "classifiers", "rows"})

    def keywords(self) -> dict[str, Any]:
        """The options of its function."""
        return {key: value for key, value in self.options().items() if key not in ("method", "direction")}

    def deciding(
        self, network: Mapping[str, Any], autoencoder: Mapping[str, Any], direction: DirectionMethod
    ) -> dict[str, Any]:
        """All that decides a map besides its image, the class that is explained and the vector of the direction.

        network, autoencoder: the identities of the two.
        """
        return {
            "method": {"method": self.options()["method"], **self.keywords()},
            "code": [fingerprint(self.module(), deciding=True)],
            "codes": direction.deciding_codes(autoencoder),
            "network": dict(network),
        }

    def decodes(self) -> int:
        """Decodes of the code of one image, at most; each is shown to the classifier."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it decodes")

    @property
    def needs_gradients(self) -> bool:
        """Whether it sends gradients through the classifier; none does."""
        return False
