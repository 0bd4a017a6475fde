"""What the workflow needs to know of the networks and generators that a study trains: files, options, dependencies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.classifiers.entry import Network
from pipeline.classifiers.script import files_of
from pipeline.classifiers.sources import entry_point_file
from pipeline.diffusion.entry import Generator
from pipeline.errors import UserError, nearest
from pipeline.infill.entry import Filler
from pipeline.section import Section
from pipeline.study import SHIPPED, Study
from pipeline.study.training import GeneratorTraining, GuideTraining, InfillTraining, Training, recipes

RESOURCES = Path("resources")
TRAINED, TRAINED_GENERATORS = RESOURCES / "classifiers", RESOURCES / "generators"
TRAINED_INFILLS = RESOURCES / "infills"
LOCAL_FILES = ("file", "noisy_classifier", "torch_export", "torchscript", "onnx")
TRAINED_BY: dict[str, type[Section]] = {
    "train": Training,
    "train_generator": GeneratorTraining,
    "gate": GeneratorTraining,
    "train_guide": GuideTraining,
    "train_infill": InfillTraining,
}
"""The stages that follow recipes; they run where their files are missing or another recipe is, never for new code."""


def trained_file(name: str, ending: str = "safetensors") -> str:
    """Where a network that a study trains is written; its model card ends in md."""
    return str(TRAINED / f"{name}.{ending}")


def trained_generator_file(name: str, ending: str = "safetensors") -> str:
    """Where a generator that a study trains is written; its model card ends in md, images that it draws in png."""
    return str(TRAINED_GENERATORS / f"{name}.{ending}")


def trained_infill_file(name: str, ending: str = "safetensors") -> str:
    """Where an in-filler that a study trains is written; its model card ends in md, images with holes in png."""
    return str(TRAINED_INFILLS / f"{name}.{ending}")


def trained_by(study: Study, stage: str) -> list[str]:
    """Names of the recipes that a stage follows."""
    return recipes(study.training, TRAINED_BY[stage])


def trained_files(study: Study, *names: str) -> list[str]:
    """What the training of some recipes, or of all, writes last: the weights, or what is measured of a diffusion model.

    Raises UserError for a name that the study has no recipe of.
    """
    for name in names:
        if name not in study.training:
            close = nearest(name, study.training)
            known = f"there are {', '.join(study.training)}." if study.training else "its section training is empty."
            hint = f"did you mean '{close}'?" if close else known
            raise UserError(f"the study {study.study} has no recipe '{name}' in its section training; {hint}")
    last = {
        **{name: trained_generator_file(name, "md") for name in trained_by(study, "gate")},
        **{name: trained_generator_file(name) for name in trained_by(study, "train_guide")},
        **{name: trained_infill_file(name) for name in trained_by(study, "train_infill")},
    }
    return [last.get(name) or trained_file(name) for name in names or study.training]


def training_options(study: Study, stage: str, name: str) -> dict[str, Any]:
    """Exactly the options that decide what a stage writes for a recipe."""
    recipe = study.training[name]
    if stage == "gate":
        recipe_alone = recipe.model_dump(mode="json", exclude={"gate"})
        return {"recipe": recipe_alone, "gate": recipe.gate.model_dump(mode="json"), "networks": measuring(study, name)}
    return recipe.model_dump(mode="json", exclude={"gate"})


def measuring(study: Study, generator: str) -> dict[str, dict[str, Any]]:
    """How the networks are loaded that measure a trained diffusion model, by name; one that ships comes first."""
    gate = study.training[generator].gate
    defined = {**study.networks, **study.classifiers}
    entries = {}
    for name in [*gate.readers, *([gate.features] if gate.features else [])]:
        shipped = SHIPPED / f"{name}.safetensors"
        entries[name] = {"file": str(shipped)} if shipped.exists() else loaded(defined[name])
    return entries


def measuring_files(study: Study, generator: str) -> list[str]:
    """Local files of the networks that measure a trained diffusion model."""
    return [file for entry in measuring(study, generator).values() for file in network_files(entry)]


def loaded(section: Network | Generator | Filler) -> dict[str, Any]:
    """How a network, generator or in-filler is loaded, without what is not given; a trained one as its future file."""
    entry = section.model_dump(mode="json", exclude_none=True)
    if "trained" in entry:
        file = {Generator: trained_generator_file, Filler: trained_infill_file}.get(type(section), trained_file)
        entry["file"] = file(entry.pop("trained"))
    return entry


def network_files(entry: dict[str, Any]) -> list[str]:
    """Local files that a network is read from."""
    named = [entry.get(kind) for kind in (*LOCAL_FILES, "checkpoint")]
    script = script_files(entry["entry_point"]) if "entry_point" in entry else []
    return [file for file in [*named, *script, *entry.get("watch", [])] if file]


def script_files(entry_point: str) -> list[str]:
    """The source of an entry point, and the files that it consists of; a path also where nothing is there."""
    try:
        return [str(path) for path in files_of(entry_point_file("", entry_point))]
    except UserError:
        script = entry_point.rpartition(":")[0]
        return [script] if script.endswith(".py") else []
