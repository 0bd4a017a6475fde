"""The stages of a study called one after the other in this process, on the files that the workflow would name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.study import load_study
from pipeline.workflow.base import Job
from pipeline.workflow.plan import Plan
from tests.small_batches import batch_small
from tests.workflow.conftest import SMALL, TINY, write_generator

JUDGING = {key: TINY[key] for key in ("networks", "oracles")}
STUDY = {key: value for key, value in TINY.items() if key not in (*JUDGING, "directions")}
STUDY["generators"] = {"adm": TINY["generators"]["adm"]}
STUDY["saliency"] = {**TINY["saliency"], "occlusion": {"method": "occlusion", "infill": "mean"}}


def write_tiny(name: str = "tiny", **sections: Any) -> Plan:
    """Write the study `tiny`, perhaps under another name and with other sections, to the working directory."""
    Path("studies").mkdir(exist_ok=True)
    Path("small.py").write_text(SMALL, encoding="utf-8")
    write_generator(Path("adm.safetensors"))
    values = {**STUDY, "study": name, **sections}
    Path(f"studies/{name}.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return Plan(load_study(name))


def run_stages(plan: Plan) -> None:
    """Run every stage of a study."""
    for run in stages(plan):
        run()


def stages(plan: Plan) -> Iterator[Callable[[], None]]:
    """The jobs of a study in their order."""
    return (partial(run_job, job) for job in plan.all_jobs())


def run_job(job: Job) -> None:
    """Call the function of a stage with the files of a job, as its rule does."""
    plan, name = job.plan, job.stage.name
    identities = list(map(plan.identity, job.networks))
    values = {
        **{"options": plan.options(name), "code": plan.code(name), "store": [plan.store], "classifier": job.classifier},
        **{"identities": identities, "identity": identities, "truth": job.inputs.get("scores", [])},
        **job.given,
        **job.inputs,
        **{RESULT.get(name, job.stage.writes): job.outputs},
    }
    if name == "score_counterfactuals":
        values |= {source: plan.parts("predictions", stage) for source, stage in SAID.items()}
    function = getattr(import_module(f"pipeline.stages.{name}"), name)
    taken = {key: each for key, each in signature(function, eval_str=True).parameters.items() if key in values}
    function(**{key: as_taken(values[key], each.annotation) for key, each in taken.items()})


RESULT = {"judge": "judged"}
SAID = {"predictions": "predict", "judged": "judge"}


def as_taken(value: Any, annotation: Any) -> Any:
    """Files as the function of a stage takes them: a list, or the only one."""
    if not isinstance(value, list):
        return value
    return list(map(Path, value)) if "list" in str(annotation) else Path(value[0])


@contextmanager
def working_in(folder: Path) -> Iterator[Path]:
    """Make a folder the working directory, on the CPU, while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("COUNTERFACTORY_DEVICE", "cpu")
        batch_small(patch)
        yield folder
