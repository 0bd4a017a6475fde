"""What a job costs: time by cause, memory, network evaluations; and the packages and modules that it ran with."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.fingerprint import module_digests
from pipeline.tables.schemas import row_id

if TYPE_CHECKING:
    import torch

CAUSES = ("imports", "load", "compute", "tables")

# The module that tells whether a package was used -> the name that its version goes by.
PACKAGES = {
    "captum": "captum",
    "datasets": "datasets",
    "diffusers": "diffusers",
    "numpy": "numpy",
    "onnxruntime": "onnxruntime",
    "PIL": "pillow",
    "pipeline": "counterfactory",
    "polars": "polars",
    "pyarrow": "pyarrow",
    "safetensors": "safetensors",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "timm": "timm",
    "torch": "torch",
    "torchmetrics": "torchmetrics",
    "torchvision": "torchvision",
    "transformers": "transformers",
}


class Stopwatch:
    """Measures one job, from its making to `row`: `with clock("load"): ...` gives the time of the block to a cause.

    A cause within another one is not counted twice: the outer one pauses. Time outside all blocks is `other`.
    """

    def __init__(self):
        self.startup_seconds = process_age()
        self.network_evaluations = 0
        self._started = time.perf_counter()
        self._seconds = dict.fromkeys(CAUSES, 0.0)
        self._running: list[str] = []
        self._changed = self._started

    @contextlib.contextmanager
    def __call__(self, cause: str) -> Iterator[None]:
        """Give the time of the block to `cause`: imports, load, compute or tables."""
        if cause not in CAUSES:
            raise ValueError(f"no cause is called {cause!r}; use one of {', '.join(CAUSES)}")
        self._settle()
        self._running.append(cause)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def count(self, network_evaluations: int) -> None:
        """Add evaluations: passes of one image through one network."""
        self.network_evaluations += int(network_evaluations)

    def row(
        self,
        stage: str,
        *,
        study: str | None = None,
        classifier: str | None = None,
        part: str | None = None,
        device: "torch.device | str" = "cpu",
        rows: int = 0,
        rows_computed: int = 0,
    ) -> dict[str, Any]:
        """Return the job as a row of the table `costs`.

        rows: rows of the table that the job wrote. rows_computed: those that were not in the row store already.
        """
        seconds = time.perf_counter() - self._started
        self._settle()
        spent = {cause: self._seconds[cause] for cause in CAUSES}
        return {
            "row_id": row_id(stage, study, classifier, part),
            "status": "ok",
            "reason": None,
            "stage": stage,
            "study": study,
            "classifier": classifier,
            "part": part,
            "rows": rows,
            "rows_computed": rows_computed,
            "seconds": seconds,
            "seconds_by_cause": {**spent, "other": max(0.0, seconds - sum(spent.values()))},
            "startup_seconds": self.startup_seconds,
            "device": device_name(device),
            "peak_memory_bytes": peak_memory(),
            "peak_device_memory_bytes": peak_device_memory(device),
            "network_evaluations": self.network_evaluations,
            "versions": package_versions(),
            "modules": module_digests(imported_modules()),
        }

    def _settle(self) -> None:
        """Give the time since the last change to the cause that is running."""
        now = time.perf_counter()
        if self._running:
            self._seconds[self._running[-1]] += now - self._changed
        self._changed = now


def process_age() -> float | None:
    """Return the seconds since this process began, or None where the system does not tell (it does on Linux)."""
    if not os.path.exists("/proc/self/stat"):
        return None
    with open("/proc/self/stat", encoding="utf-8") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def peak_memory() -> int:
    """Return the most memory that this process has had at once, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_device_memory(device: "torch.device | str") -> int | None:
    """Return the most memory that tensors have had on a CUDA card at once, in bytes; None on other devices."""
    if not str(device).startswith("cuda"):
        return None
    import torch

    return torch.cuda.max_memory_allocated(device)


def device_name(device: "torch.device | str") -> str:
    """Return what computed: the name of the card, or the CPU with the number of threads."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    if str(device) != "cpu":
        return str(device)
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 1
    return f"cpu, {threads} thread{'s' if threads > 1 else ''}"


def imported_modules() -> list[str]:
    """Return the names of the modules of this package that this process has imported to compute.

    Commands and declarations, by which it was called, decide nothing, nor do the sections that type its options.
    """
    package = __name__.partition(".")[0]
    beside = tuple(f"{package}.{each}" for each in ("commands", "workflow", "study", "datasets.declared"))
    return [name for name in sys.modules if name.partition(".")[0] == package and not name.startswith(beside)]


def package_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that this process has imported."""
    versions = {"python": platform.python_version()}
    for module, package in PACKAGES.items():
        if module in sys.modules:
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                versions[package] = package_version(package)
    return versions


package_version = functools.cache(importlib.metadata.version)
"""The version of a package; reading it takes milliseconds, and a process asks once a table."""
