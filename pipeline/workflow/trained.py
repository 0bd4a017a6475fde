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
from pipeline.metrics.networks import FILES
from pipeline.section import Section
from pipeline.study import SHIPPED, Study
from pipeline.study.training import (
    AutoencoderTraining,
    DiffusionTraining,
    GeneratorTraining,
    GuideTraining,
    InfillTraining,
    recipes,
)
from pipeline.workflow.base import Job, Passes, Takes, forwards

RESOURCES = Path("resources")
TRAINED, TRAINED_GENERATORS = RESOURCES / "classifiers", RESOURCES / "generators"
TRAINED_INFILLS = RESOURCES / "infills"
LOCAL_FILES = ("file", "noisy_classifier", "torch_export", "torchscript", "onnx")
ALL_ROWS = 100_000  # images that training takes where the study asks for all there are
LEARNING, DENOISING = 4800, 19_200  # images that take as much memory as a batch with its gradients


def trained_file(name: str, ending: str = "safetensors") -> str:
    """Where a network that a study trains is written; its model card ends in md."""
    return str(TRAINED / f"{name}.{ending}")


def trained_generator_file(name: str, ending: str = "safetensors") -> str:
    """Where a generator that a study trains is written; its model card ends in md, images that it draws in png."""
    return str(TRAINED_GENERATORS / f"{name}.{ending}")


def trained_infill_file(name: str, ending: str = "safetensors") -> str:
    """Where an in-filler that a study trains is written; its model card ends in md, images with holes in png."""
    return str(TRAINED_INFILLS / f"{name}.{ending}")


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
        **{name: trained_generator_file(name, "md") for name in recipes(study.training, GeneratorTraining)},
        **{name: trained_generator_file(name) for name in recipes(study.training, GuideTraining, AutoencoderTraining)},
        **{name: trained_infill_file(name) for name in recipes(study.training, InfillTraining)},
    }
    return [last.get(name) or trained_file(name) for name in names or study.training]


def without_gate(kind: type[DiffusionTraining], recipe: Section) -> DiffusionTraining:
    """What decides the weights of a recipe, and not how they are measured. kind: that of what it returns."""
    return kind.model_validate({key: value for key, value in recipe if key in kind.model_fields})


def learning(job: Job, passes: Passes, further: int, batch: int = LEARNING) -> Takes:
    """What a job takes that trains, or measures what was trained: passes, and images that it reads."""
    images, pixels = (job.recipe.rows or ALL_ROWS) + further, (job.recipe.dataset.size or job.plan.side) ** 2
    seconds = 2e-5 if batch == DENOISING else 4e-6
    return Takes(
        passes=(passes,), megabytes=2e-5 * (images + batch) * pixels, seconds=seconds * forwards([passes]) * pixels
    )


def learning_to_denoise(job: Job) -> Takes:
    """What a job takes that trains on noised images."""
    seen = job.recipe.steps * job.recipe.batch_size
    return learning(job, Passes(job.network, None, 0, seen, seen), getattr(job.recipe, "tested", 0), DENOISING)


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


def measuring_names(study: Study) -> dict[str, str | None]:
    """The name of the network of each role; a published one is named after its place in the study."""
    return {
        role: chosen if chosen is None or isinstance(chosen, str) else f"evaluation.{role}"
        for role, chosen in study.measuring.items()
    }


def measuring_entries(study: Study) -> dict[str, dict[str, Any]]:
    """How each network that measures is loaded, by its name."""
    entries = {}
    for role, name in measuring_names(study).items():
        chosen = study.measuring[role]
        if isinstance(chosen, str):
            entries[name] = loaded(study.network(chosen))
        elif chosen is not None:
            entries[name] = chosen.model_dump(mode="json", exclude_none=True)
    return entries


def entry_files(entry: dict[str, Any]) -> list[str]:
    """Local files of a network that measures."""
    return network_files(entry) + [entry[key] for key in FILES if entry.get(key)]
