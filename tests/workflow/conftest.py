"""The workflow in a folder of its own, where it can be run, changed and broken."""

import copy
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import yaml
from PIL import Image

from pipeline.commands.workflow import command
from pipeline.tables import read_table
from tests.copied import copy_package
from tests.small_batches import write_small
from tests.workflow.preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("Snakefile", "config.yaml", "rules", "envs", "studies")  # and the package
LINKED = ("data",)  # weights: many bytes that no test changes

TINY = {
    "study": "tiny",
    "seed": 7,
    "dataset": {"world": "shapes", "size": 32, "rows": 5},
    "shard_rows": 3,
    "explained_rows": 5,
    "classifiers": {"small": {"entry_point": "small.py:load", "classes": ["dark", "light"], "size": 32}},
    "networks": {
        "judge": {"entry_point": "small.py:load", "classes": ["dark", "light"], "size": 32, "temperature": 2.0}
    },
    "oracles": ["judge"],
    "saliency": {
        "fido": {"method": "fido", "objective": "ssr", "infill": "blur", "grid": 4, "masks": 2, "steps": 3},
        "random": {"method": "random"},
    },
    "generators": {"adm": {"file": "adm.safetensors"}, "dae": {"file": "dae.safetensors"}},
    "counterfactuals": {
        "dvce": {"method": "dvce", "generator": "adm", "cone": {"helper": "small"}, "steps": 4, "skip": 1},
        "pgd": {"method": "pgd", "iterations": 2},
    },
    "directions": {
        "gcd": {
            **{"method": "gcd", "autoencoder": "dae", "encode_steps": 2, "decode_steps": 2, "decodes": 9},
            **{"images": 4, "calibration": 1, "marks": 1, "halvings": 1},
        }
    },
    "attributions": {"bb-lig": {"method": "bb-lig", "direction": "gcd", "steps": 3, "points": 3}},
    "evaluation": {"infills": ["blur"]},
    "statistics": {"bootstrap": 100},
}
PHOTOS = {
    "study": "photos",
    "dataset": {"folder": "photos", "size": 32, "rows": 4, "shares": {"test": 1}},
    "shard_rows": 2,
    "explained_rows": 4,
    **{section: TINY[section] for section in ("classifiers", "saliency", "evaluation", "statistics")},
}
SMALL = '''
"""Small, and open to mischief: files beside it make it fail where a gradient is asked for."""

from pathlib import Path

import torch

from pipeline.errors import RowFailure


class Small(torch.nn.Sequential):
    def forward(self, images):
        if images.requires_grad and Path("asleep").exists():
            raise RowFailure({0: "the classifier is asleep"})
        if images.requires_grad and Path("cramped").exists() and len(images) > int(Path("cramped").read_text()):
            raise torch.OutOfMemoryError("CUDA out of memory")
        if images.requires_grad and Path("full").exists():
            bytearray(2**62)
        return super().forward(images)


def load():
    torch.manual_seed(3)
    return Small(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(),
        torch.nn.Linear(64, 2),
    ).eval()
'''


@dataclass(frozen=True)
class Workflow:
    """A copy of the workflow; `folder` is where Snakemake runs, and where results go."""

    folder: Path
    preloaded: Preloaded

    def call(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        """Run `python` with these arguments, on the CPU, and with some environment variables set."""
        return subprocess.run(
            [self.preloaded.python, *arguments],
            cwd=self.folder,
            env={**self.preloaded.environment(), **variables},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def run(
        self, study: str, *arguments: str, profile: str = "laptop", **variables: str
    ) -> subprocess.CompletedProcess:
        """Run a study as `make run` does; arguments go to Snakemake, such as targets or --dry-run.

        Unlike in the profile, Snakemake tells what it does, so that `rules` can read it, and why a job failed.
        """
        return self.call(*command(study, profile, [*arguments, "--quiet", "host"])[1:], **variables)

    @staticmethod
    def rules(process: subprocess.CompletedProcess) -> list[str]:
        """The rules of the jobs that a run began (with --dry-run: would begin), a word for each job, save for `all`."""
        begun = re.findall(r"^(?:local)?rule (\w+):$", process.stderr + process.stdout, re.MULTILINE)
        return [rule for rule in begun if rule != "all"]

    def read_study(self, name: str) -> dict[str, Any]:
        """A study of the folder `studies` as it is written."""
        return yaml.safe_load((self.folder / "studies" / f"{name}.yaml").read_text(encoding="utf-8"))

    def write_study(self, values: dict[str, Any]) -> None:
        """Write a study under its name to the folder `studies`, in place of what stood there."""
        path = self.folder / "studies" / f"{values['study']}.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    def results(self, study: str) -> Path:
        """The folder of a study's results."""
        return self.folder / "results" / "studies" / study

    def table(self, study: str, name: str) -> pyarrow.Table:
        """All parts of a table of a study, checked as every stage checks them."""
        parts = sorted(self.results(study).glob(f"tables/{name}/**/*.parquet"))
        return read_table(parts or self.results(study) / f"{name}.parquet", name)

    def rows(self, study: str, name: str) -> list[dict[str, Any]]:
        """The rows of a table of a study."""
        return self.table(study, name).to_pylist()

    def page(self, study: str) -> str:
        """The report of a study as HTML."""
        return (self.results(study) / "report" / "index.html").read_text(encoding="utf-8")


def copy_workflow(folder: Path, preloaded: Preloaded) -> Workflow:
    """Copy everything that a run needs to a folder, without results, downloads and trained weights."""
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    copy_package(folder)
    for name in LINKED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    write_small(folder)
    return Workflow(folder, preloaded)


@pytest.fixture(scope="session")
def shared(tmp_path_factory) -> Path:
    """A folder that all processes of this run of tests share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def preloaded(shared) -> Preloaded:
    """What runs `python -m` without importing slow libraries again; one for all processes that test."""
    return Preloaded.start(shared / "preloaded", os.getpid())


@pytest.fixture
def workflow(tmp_path, preloaded) -> Workflow:
    """A fresh copy of the workflow for one test."""
    return copy_workflow(tmp_path, preloaded)


@pytest.fixture
def tiny(workflow) -> Workflow:
    """A fresh copy of the workflow with the study `tiny`: every stage runs on it, and its jobs take seconds."""
    add_tiny_study(workflow)
    return workflow


def add_tiny_study(workflow: Workflow, **sections: Any) -> None:
    """Write the study `tiny`, with some of its sections replaced, and the networks that it is about."""
    (workflow.folder / "small.py").write_text(SMALL, encoding="utf-8")
    write_generator(workflow.folder / "adm.safetensors")
    write_autoencoder(workflow.folder / "dae.safetensors")
    workflow.write_study({**copy.deepcopy(TINY), **sections})


def add_photos(workflow: Workflow) -> None:
    """Write the study `photos`, of four images in a folder of their own, and the network that it is about."""
    (workflow.folder / "small.py").write_text(SMALL, encoding="utf-8")
    for index, name in enumerate(("dark/a", "dark/b", "light/c", "light/d")):
        save_noise(workflow.folder / "photos" / f"{name}.png", index)
    workflow.write_study(PHOTOS)


def save_noise(file: Path, seed: int, side: int = 32) -> None:
    """An image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)


ADDED = {"tiny": add_tiny_study, "photos": add_photos}


def write_generator(path: Path, seed: int = 0) -> None:
    """A diffusion model of 16 pixels and one level in a file, the same each time."""
    from pipeline.diffusion.description import Description
    from pipeline.diffusion.file import save_model
    from tests.diffusion.conftest import small_unet

    network = small_unet(seed, multipliers=(1,), attention=())
    save_model(network.state_dict(), path, Description("unet", network.shape, {"name": "linear", "steps": 1000}))


def write_autoencoder(path: Path, seed: int = 0) -> None:
    """A diffusion autoencoder of 16 pixels and one level in a file, the same each time, whose codes move images."""
    import torch

    from pipeline.diffusion.autoencoder import DiffusionAutoencoder
    from pipeline.diffusion.autoencoder_shape import AutoencoderShape
    from pipeline.diffusion.description import Description
    from pipeline.diffusion.file import save_model

    shape = AutoencoderShape(16, 32, (1,), (1,), blocks=1, attention=(), semantic=8, dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DiffusionAutoencoder(shape)
        for name, parameter in network.named_parameters():
            if "cond_emb_layers" in name or not parameter.any():
                torch.nn.init.normal_(parameter, 0, 0.3)
    save_model(network.state_dict(), path, Description("autoencoder", shape, {"name": "linear", "steps": 1000}))


@pytest.fixture(scope="session")
def new_workflow(tmp_path_factory, preloaded) -> Callable[[str], Workflow]:
    """Makes a fresh copy of the workflow that several tests can share; takes a word for the name of its folder."""
    return lambda word: copy_workflow(tmp_path_factory.mktemp(word), preloaded)


@pytest.fixture(scope="session")
def new_finished(shared, tmp_path_factory, preloaded) -> Callable[..., Workflow]:
    """Makes a copy of a workflow in which `tiny` or `photos` has run, once for all processes that test."""

    def finished(study: str) -> Path:
        original = shared / f"finished-{study}"
        with open(shared / f"{study}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not original.exists():
                workflow = copy_workflow(tmp_path_factory.mktemp(study), preloaded)
                ADDED[study](workflow)
                process = workflow.call("-m", "pipeline", "run", "--study", study, "--profile", "laptop")
                assert process.returncode == 0, process.stdout + process.stderr
                assert process.stdout.splitlines()[-1] == f"Report: results/studies/{study}/report/index.html"
                workflow.folder.rename(original)
        return original

    def copied(word: str, study: str = "tiny") -> Workflow:
        folder = tmp_path_factory.mktemp(word)
        shutil.copytree(finished(study), folder, symlinks=True, dirs_exist_ok=True)
        return Workflow(folder, preloaded)

    return copied
